module trama/tests/busbench

go 1.26.8

require trama v0.0.0

replace trama => ../..
