// Every page: accessible in light and dark, as wide as the window and no wider,
// with nothing refused by its own policy.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { base, check, firstCourse, openMail, shoot, start, stop, visit } from './kit.mjs';

let course;
before(async () => {
  await start();
  course = await firstCourse();
});
after(stop);

const pages = () => ({
  inicio: '/', 'inicio-busca': '/?busca=go', 'inicio-vazio': '/?busca=nadadisso', curso: course, interesse: '/interesse',
  'interesse-obrigado': `${course}/interesse/obrigado`, matricula: `${course}/matricula`, descadastro: '/descadastro?token=abc',
  'descadastro-invalido': '/descadastro', correio: '/correio', entrar: '/entrar', 'nao-existe': '/nada-aqui',
});

test('every page is accessible in light and dark', async () => {
  const page = await visit('/entrar');
  for (const [name, path] of Object.entries(pages())) {
    await page.goto(path);
    await check(page, name);
  }
  await page.done();
});

test('every page fits windows from 320 to 1440 pixels', async () => {
  const page = await visit('/entrar');
  for (const width of [320, 375, 768, 1024, 1440]) {
    await page.setViewportSize({ width, height: 800 });
    for (const [name, path] of Object.entries(pages())) {
      await page.goto(path);
      await check(page, `${name}-${width}`, { picture: width === 320 || width === 768 });
    }
  }
  await page.done();
});

test('the home page finds courses by word and by category', async () => {
  const page = await visit('/');
  const all = await page.locator('.card').count();
  assert.ok(all >= 12, `${all} courses`);
  await page.getByLabel('O que você quer aprender?').fill('PYTHON');
  await page.getByRole('button', { name: 'Buscar' }).click();
  await page.getByText(/encontrados? para “PYTHON”/).waitFor();
  assert.ok(await page.locator('.card').count() < all);
  await page.goto('/');
  const chip = page.locator('.chip').nth(1);
  const subject = (await chip.textContent()).replace(/\s*\d+.*$/s, '').trim();
  await chip.click();
  await page.getByText(new RegExp(`em ${subject}`)).waitFor();
  for (const kicker of await page.locator('.card .kicker').allTextContents()) assert.equal(kicker, subject);
  await page.done();
});

test('a search that is no search changes nothing', async () => {
  const page = await visit(`/?busca=${encodeURIComponent('"><img src=x onerror=alert(1)>')}`);
  assert.equal(await page.locator('main img').count(), 0);
  await page.getByText('Nenhum curso com essas palavras.').waitFor();
  await page.done();
});

test('the interest form says what is wrong and keeps what was typed', async () => {
  const page = await visit(course);
  await page.getByRole('link', { name: /Ainda em dúvida/ }).click();
  await page.getByLabel('Nome', { exact: true }).fill('Ana "Nina" <Souza>');
  await page.getByLabel('E-mail', { exact: true }).fill('ana@b');
  await page.getByLabel(/Aceito receber/).check();
  await page.getByRole('button', { name: 'Quero saber mais' }).click();
  await page.locator('.mistakes').waitFor();
  assert.equal(await page.getByLabel('Nome', { exact: true }).inputValue(), 'Ana "Nina" <Souza>');
  assert.ok(await page.getByLabel(/Aceito receber/).isChecked());
  assert.equal(await page.getByLabel('E-mail', { exact: true }).getAttribute('aria-invalid'), 'true');
  await check(page, 'interesse-erro');
  await page.locator('.mistakes a').first().click();
  assert.equal(await page.evaluate(() => document.activeElement.name), 'email');
  await page.getByLabel('E-mail', { exact: true }).fill(`interesse${Date.now()}@exemplo.com.br`);
  await page.getByRole('button', { name: 'Quero saber mais' }).click();
  await page.waitForURL(/obrigado$/);
  await shoot(page, 'obrigado');
  await page.done();
});

test('a link to stop reminders changes nothing until its button is pressed', async () => {
  const page = await visit('/descadastro?token=nao-existe');
  await page.getByRole('button', { name: 'Parar os lembretes' }).click();
  await page.getByRole('heading', { name: 'Este endereço não vale mais' }).waitFor();
  await page.done();
});

test('the policy holds: an inline script does not run', async () => {
  const page = await visit(course);
  await page.evaluate(() => {
    const script = document.createElement('script');
    script.textContent = 'globalThis.ran = true';
    document.body.append(script);
  });
  assert.equal(await page.evaluate(() => globalThis.ran), undefined);
  await page.context().close(); // not done(): the browser has told of the refusal, as it should
});

test('the link in a reminder stops the reminders', { skip: !process.env.REMINDERS && 'start Trama with -s marketing.reminders=2s,4s and set REMINDERS=1' }, async () => {
  const address = `lembrete${Date.now()}@exemplo.com.br`;
  const page = await visit(`${course}/interesse`);
  await page.getByLabel('Nome', { exact: true }).fill('Nina Alves');
  await page.getByLabel('E-mail', { exact: true }).fill(address);
  await page.getByLabel(/Aceito receber/).check();
  await page.getByRole('button', { name: 'Quero saber mais' }).click();
  await page.waitForURL(/obrigado$/);
  await openMail(page, address);
  const link = await page.frameLocator('iframe').locator('a[href*="descadastro"]').first().getAttribute('href');
  await page.goto(new URL(link, base).pathname + new URL(link, base).search);
  await check(page, 'descadastro-valido');
  await page.getByRole('button', { name: 'Parar os lembretes' }).click();
  await page.getByRole('heading', { name: 'Pronto, os lembretes pararam' }).waitFor();
  await check(page, 'descadastrado');
  await page.done();
});
