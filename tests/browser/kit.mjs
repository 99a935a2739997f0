// What every test here needs: a browser, pages that are watched for anything
// that must not happen, accessibility checks, pictures, and people who pay.
import { chromium } from 'playwright-core';
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

export const base = (process.env.BASE_URL ?? 'http://127.0.0.1:8080').replace(/\/$/, '');
const shots = process.env.SHOTS ?? join(import.meta.dirname, 'shots');
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const wcag = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];

// A page must show its end state within this time; the flow itself takes far less.
export const patience = 20_000;

export const desktop = { width: 1280, height: 900 };
export const phone = { width: 360, height: 740 };

let browser;

export async function start() {
  mkdirSync(shots, { recursive: true });
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}

export async function stop() {
  await browser?.close();
}

// visit opens a page that remembers what went wrong on it; done() closes it and
// fails the test if anything did: a script error, a refused policy, a request to
// another host, a resource that is missing.
export async function visit(path = '/', { js = true, viewport = desktop, mobile = false, dark = false } = {}) {
  const context = await browser.newContext({
    baseURL: base, locale: 'pt-BR', timezoneId: 'America/Sao_Paulo', reducedMotion: 'reduce', javaScriptEnabled: js,
    viewport, isMobile: mobile, hasTouch: mobile, colorScheme: dark ? 'dark' : 'light',
  });
  const page = await context.newPage();
  page.setDefaultTimeout(patience);
  const wrong = [];
  page.on('pageerror', (error) => wrong.push(`script error: ${error.message}`));
  page.on('console', (message) => {
    // A form page that answers 422, or a page that is not there, is logged by the browser too.
    if (message.type() === 'error' && !/the server responded with a status of (403|404|422)/.test(message.text())) wrong.push(`console: ${message.text()}`);
  });
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.protocol !== 'data:' && url.origin !== new URL(base).origin) wrong.push(`request to ${url.origin}`);
  });
  page.on('response', (response) => {
    if (response.status() >= 500) wrong.push(`${response.status()} from ${response.url()}`);
    if (response.status() === 404 && response.url().includes('/ativos/')) wrong.push(`missing ${response.url()}`);
  });
  page.done = async () => {
    await context.close();
    assert.deepEqual(wrong, []);
  };
  await page.goto(path);
  return page;
}

// check looks at the page as it stands, in light and in dark: no accessibility
// violation, nothing wider than the window, and a picture of each.
// The advice that goes beyond WCAG 2.2 AA is about pages, so it is left out for a
// mail.
export async function check(page, name, { picture = true, mail = false } = {}) {
  const tags = mail ? wcag : [...wcag, 'best-practice'];
  const before = await page.evaluate(() => (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'));
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await page.evaluate(axe);
    const { violations } = await page.evaluate((values) => globalThis.axe.run(document, { runOnly: { type: 'tag', values }, iframes: false }), tags);
    const found = violations.map((v) => `${v.id} (${v.help}): ${v.nodes.map((n) => `${n.target.join(' ')} ${n.any[0]?.message ?? ''}`).join('; ')}`);
    assert.deepEqual(found, [], `${name}, ${colorScheme}`);
    const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(over <= 0, `${name}: ${over} px wider than the window`);
    if (picture) await page.screenshot({ path: join(shots, `${name}-${colorScheme}.png`), fullPage: true });
  }
  await page.emulateMedia({ colorScheme: before });
}

// shoot takes one picture as the page stands.
export const shoot = (page, name) => page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });

// firstCourse gives the address of the first course of the home page.
export async function firstCourse() {
  const answer = await fetch(`${base}/`);
  assert.equal(answer.status, 200);
  return /<h3><a href="(\/cursos\/[^"]+)"/.exec(await answer.text())[1];
}

let count = Date.now() % 1_000_000_000;

// cpf gives a CPF that nobody has used in this run, with right check digits.
export function cpf() {
  count = (count + 7919) % 1_000_000_000;
  const digits = [...String(count).padStart(9, '0')].map(Number);
  for (const length of [9, 10]) {
    const sum = digits.reduce((total, digit, i) => total + digit * (length + 1 - i), 0);
    digits.push(((sum * 10) % 11) % 10);
  }
  return digits.join('').replace(/(...)(...)(...)(..)/, '$1.$2.$3-$4');
}

// card gives a number that the simulated acquirer approves and nobody has used.
export function card() {
  count = (count + 7919) % 1_000_000_000;
  const digits = [...`411111${String(count).padStart(9, '0')}`].map(Number);
  const sum = digits.reduceRight((total, digit, i) => {
    const twice = (digits.length - i) % 2 === 1 ? digit * 2 : digit;
    return total + (twice > 9 ? twice - 9 : twice);
  }, 0);
  return [...digits, (10 - (sum % 10)) % 10].join('');
}

// person gives somebody new who wants to learn.
export function person(name = 'Ana Souza') {
  const number = cpf();
  return { nome: name, email: `${number.replace(/\D/g, '')}@exemplo.com.br`, cpf: number };
}

// fillPerson fills in the first part of the payment form.
export async function fillPerson(page, who) {
  await page.getByLabel('Nome completo').fill(who.nome);
  await page.getByLabel('E-mail', { exact: true }).fill(who.email);
  await page.getByLabel('CPF').fill(who.cpf);
}

export async function fillCard(page, number = card()) {
  await page.getByLabel('Número do cartão').fill(number);
  await page.getByLabel('Nome como está no cartão').fill('ANA SOUZA');
  await page.getByLabel('Validade').fill('12/31');
  await page.getByLabel('Código de segurança').fill('123');
}

// send presses the form's button and waits for the page that follows.
export async function send(page) {
  await Promise.all([page.waitForURL(/\/pagamentos\//), page.getByRole('button', { name: /^Pagar/ }).click()]);
}

export const heading = (page, text) => page.getByRole('heading', { level: 1, name: text }).waitFor({ timeout: patience });

// openMail opens the newest mail to an address whose subject fits.
export async function openMail(page, address, subject = /./) {
  const end = Date.now() + patience;
  for (;;) {
    await page.goto('/correio');
    const row = page.locator('.mail-row', { hasText: address }).filter({ hasText: subject });
    if (await row.count() > 0) {
      await row.first().getByRole('link').click();
      await page.locator('iframe').waitFor();
      return;
    }
    assert.ok(Date.now() < end, `no mail to ${address}`);
    await page.waitForTimeout(250);
  }
}
