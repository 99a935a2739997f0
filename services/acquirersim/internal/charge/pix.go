package charge

import (
	"fmt"
	"strings"

	"trama/platform/money"
)

// Merchant is who receives, as a pix code names it.
type Merchant struct {
	Name string // at most 25 ASCII characters
	City string // at most 15 ASCII characters
}

// PixCode gives the "copia e cola" of a charge: a dynamic BR Code for one use
// (Manual do BR Code, Banco Central do Brasil; EMV QRCPS merchant-presented
// mode). Its location is under .invalid, so no bank can pay it by mistake.
func PixCode(id string, amount money.Cents, m Merchant) string {
	location := "pix.simulador.invalid/v2/" + strings.ReplaceAll(id, "-", "")
	var b strings.Builder
	put := func(tag, value string) { fmt.Fprintf(&b, "%s%02d%s", tag, len(value), value) }
	put("00", "01")                                                // payload format
	put("01", "12")                                                // dynamic: one use
	put("26", field("00", "br.gov.bcb.pix")+field("25", location)) // merchant account
	put("52", "0000")                                              // category: not informed
	put("53", "986")                                               // BRL, ISO 4217
	put("54", amount.String())                                     // amount
	put("58", "BR")                                                // country
	put("59", m.Name)                                              // merchant
	put("60", m.City)                                              // city
	put("62", field("05", "***"))                                  // the location holds the txid
	b.WriteString("6304")                                          // the checksum covers its own tag and length
	return b.String() + fmt.Sprintf("%04X", crc16(b.String()))
}

func field(tag, value string) string { return fmt.Sprintf("%s%02d%s", tag, len(value), value) }

// crc16 is CRC-16/CCITT-FALSE: polynomial 0x1021, initial value 0xFFFF.
func crc16(s string) uint16 {
	crc := uint16(0xFFFF)
	for _, c := range []byte(s) {
		crc ^= uint16(c) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}
