-- +goose Up
-- One row per payment. No card number, no security code. Texts that do not apply
-- are empty, times that do not apply 0; times are Unix ms. Ids are UUIDv7, so
-- their order is the order of acceptance and windows of time are ranges of ids.
CREATE TABLE payment (
    id               TEXT PRIMARY KEY,
    version          BIGINT NOT NULL,
    status           TEXT NOT NULL,
    reason           TEXT NOT NULL,
    method           TEXT NOT NULL,
    name             TEXT NOT NULL,
    email            TEXT NOT NULL,
    cpf              TEXT NOT NULL,
    phone            TEXT NOT NULL,
    course_id        TEXT NOT NULL,
    course_title     TEXT NOT NULL,
    price_cents      BIGINT NOT NULL,
    amount_cents     BIGINT NOT NULL,
    coupon           TEXT NOT NULL,
    installments     INTEGER NOT NULL,
    enrolment_ref    TEXT NOT NULL,
    card_token       TEXT NOT NULL, -- the acquirer's; forgotten once there is an outcome
    card_brand       TEXT NOT NULL,
    card_last4       TEXT NOT NULL,
    card_fingerprint TEXT NOT NULL, -- keyed digest of the number
    card_country     TEXT NOT NULL,
    score            INTEGER NOT NULL,
    findings         TEXT NOT NULL, -- rules of the fraud analysis that spoke, separated by commas
    charge_id        TEXT NOT NULL,
    code             TEXT NOT NULL,
    expires_at       BIGINT NOT NULL,
    due_at           BIGINT NOT NULL, -- expires_at while the payment waits for its payer, else 0
    student_id       TEXT NOT NULL,
    enrolment_id     TEXT NOT NULL,
    refund_at        BIGINT NOT NULL,
    refund_note      TEXT NOT NULL,
    duplicate        BOOLEAN NOT NULL,
    history          TEXT NOT NULL, -- JSON: [{"s": status, "t": ms, "r": reason}]
    created_at       BIGINT NOT NULL,
    updated_at       BIGINT NOT NULL
);
-- Velocity rules and the staff's list.
CREATE INDEX payment_card ON payment (card_fingerprint, id) WHERE card_fingerprint <> '';
CREATE INDEX payment_email ON payment (email, id);
CREATE INDEX payment_cpf ON payment (cpf, id);
CREATE INDEX payment_status ON payment (status, id);
-- What waits for its payer, by the end of its time.
CREATE INDEX payment_due ON payment (due_at, id) WHERE due_at > 0;

-- The one seat that a person has in a course: of the payment whose card is being
-- charged, or whose money has arrived.
CREATE TABLE seat (
    cpf        TEXT NOT NULL,
    course_id  TEXT NOT NULL,
    payment_id TEXT NOT NULL,
    PRIMARY KEY (cpf, course_id)
);
