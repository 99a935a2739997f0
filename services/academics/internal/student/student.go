// Package student owns who studies at the school: one Student per person, and a
// person is a CPF. No I/O.
package student

import (
	"time"

	"trama/platform/fault"
	"trama/platform/rule"
)

// Student is a person who studies, or studied, here.
type Student struct {
	ID        string
	CPF       string // 11 digits; never changes
	Name      string
	Email     string // lower case
	Phone     string // "+55" and digits; empty when unknown
	Version   int64  // 1 at creation, +1 per change
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Profile is what staff may change of a student, as they wrote it.
type Profile struct {
	Name  string
	Email string
	Phone string // empty: none
}

// ErrNotFound: no student with this id, or not the caller's.
var ErrNotFound = fault.New(fault.NotFound, "aluno-nao-encontrado", fault.Text{
	PT: "Não há aluno com este identificador.",
	EN: "There is no student with this id.",
})

// New makes a student; an Invalid fault names every broken rule.
func New(studentID, cpf string, p Profile, now time.Time) (Student, error) {
	var k rule.Checker
	s := Student{ID: studentID, CPF: k.CPF("/cpf", cpf), Version: 1, CreatedAt: now, UpdatedAt: now}
	s.set(&k, p)
	if err := k.Err(); err != nil {
		return Student{}, err
	}
	return s, nil
}

// Rewrite gives the student a whole new profile; on an error nothing changed.
func (s *Student) Rewrite(p Profile, now time.Time) error {
	var k rule.Checker
	next := *s
	next.set(&k, p)
	if err := k.Err(); err != nil {
		return err
	}
	next.Version++
	next.UpdatedAt = now
	*s = next
	return nil
}

func (s *Student) set(k *rule.Checker, p Profile) {
	s.Name = k.Name("/nome", p.Name)
	s.Email = k.Email("/email", p.Email)
	s.Phone = k.Phone("/telefone", p.Phone)
}

// Profile gives what Rewrite takes.
func (s *Student) Profile() Profile {
	return Profile{Name: s.Name, Email: s.Email, Phone: s.Phone}
}
