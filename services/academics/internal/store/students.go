package store

import (
	"context"
	"fmt"

	"trama/platform/store"
	"trama/services/academics/internal/student"
)

const studentColumns = `id, cpf, name, email, phone, version, created_at, updated_at`

// Student gives one student; student.ErrNotFound when there is none.
func Student(ctx context.Context, q store.Queryer, id string) (student.Student, error) {
	s, err := scanStudent(q.QueryRow(ctx, `SELECT `+studentColumns+` FROM student WHERE id = $1`, id))
	return s, found(err, "student", student.ErrNotFound)
}

// LockStudent gives one student and holds it.
func LockStudent(ctx context.Context, tx store.Tx, id string) (student.Student, error) {
	s, err := scanStudent(tx.QueryRow(ctx, `SELECT `+studentColumns+` FROM student WHERE id = $1`+tx.ForUpdate(), id))
	return s, found(err, "student", student.ErrNotFound)
}

// LockPerson gives the student with the CPF of fresh, storing fresh when the
// school does not know this person yet (isNew), and holds it: whoever enrols
// one person in two processes at once does it one after the other. The update
// changes nothing; it makes one statement of insert, wait, lock and read.
func LockPerson(ctx context.Context, tx store.Tx, fresh student.Student) (s student.Student, isNew bool, err error) {
	s, err = scanStudent(tx.QueryRow(ctx, `INSERT INTO student (`+studentColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (cpf) DO UPDATE SET cpf = excluded.cpf RETURNING `+studentColumns, studentArgs(&fresh)...))
	if err != nil {
		return student.Student{}, false, fmt.Errorf("student of a person: %w", err)
	}
	return s, s.ID == fresh.ID, nil
}

// UpdateStudent stores a changed student, which the caller holds. The CPF stays.
func UpdateStudent(ctx context.Context, tx store.Tx, s *student.Student) error {
	_, err := tx.Exec(ctx, `UPDATE student SET name = $2, email = $3, phone = $4, version = $5, updated_at = $6 WHERE id = $1`,
		s.ID, s.Name, s.Email, s.Phone, s.Version, millis(s.UpdatedAt))
	if err != nil {
		return fmt.Errorf("update student: %w", err)
	}
	return nil
}

// StudentFilter says which students a list has; empty fields mean any.
type StudentFilter struct{ Email, CPF string }

// Students lists up to limit students older than the one with id before (empty:
// from the newest on).
func Students(ctx context.Context, q store.Queryer, f StudentFilter, before string, limit int) ([]student.Student, error) {
	if before == "" {
		before = last
	}
	args := []any{before, limit}
	where := `id < $1`
	if f.Email != "" {
		args = append(args, f.Email)
		where += fmt.Sprintf(` AND email = $%d`, len(args))
	}
	if f.CPF != "" {
		args = append(args, f.CPF)
		where += fmt.Sprintf(` AND cpf = $%d`, len(args))
	}
	rows, err := q.Query(ctx, `SELECT `+studentColumns+` FROM student WHERE `+where+` ORDER BY id DESC LIMIT $2`, args...)
	return collect(rows, err, "students", scanStudent)
}

func studentArgs(s *student.Student) []any {
	return []any{s.ID, s.CPF, s.Name, s.Email, s.Phone, s.Version, millis(s.CreatedAt), millis(s.UpdatedAt)}
}

func scanStudent(row scanner) (student.Student, error) {
	var s student.Student
	var created, updated int64
	if err := row.Scan(&s.ID, &s.CPF, &s.Name, &s.Email, &s.Phone, &s.Version, &created, &updated); err != nil {
		return student.Student{}, err
	}
	s.CreatedAt, s.UpdatedAt = instant(created), instant(updated)
	return s, nil
}
