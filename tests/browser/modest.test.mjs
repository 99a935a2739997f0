// The same school without JavaScript, and without a mouse.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { card, check, fillCard, fillPerson, firstCourse, heading, person, send, shoot, start, stop, visit } from './kit.mjs';

let course;
before(async () => {
  await start();
  course = await firstCourse();
});
after(stop);

test('without JavaScript: by card to enrolled, the page reloads itself', async () => {
  const page = await visit('/', { js: false });
  await page.locator(`.card a[href="${course}"]`).click();
  await page.getByRole('link', { name: 'Fazer matrícula' }).click();
  await fillPerson(page, person('Hugo Reis'));
  await fillCard(page);
  await send(page);
  await heading(page, 'Matrícula feita. Boas-vindas, Hugo!');
  await shoot(page, 'sem-script-aprovado');
  await page.done();
});

test('without JavaScript: by pix, stopping and resuming the reloading', async () => {
  const page = await visit(`${course}/matricula`, { js: false });
  await fillPerson(page, person('Iara Melo'));
  await page.getByLabel('Pix').check();
  assert.equal(await page.getByLabel('Número do cartão').isVisible(), false, 'card fields beside pix');
  await send(page);
  await heading(page, 'Falta só pagar o pix');
  assert.equal(await page.getByRole('button', { name: 'Copiar código' }).isVisible(), false, 'a button that does nothing');
  await page.getByRole('link', { name: 'Parar de atualizar' }).click();
  await page.getByRole('link', { name: 'Voltar a atualizar' }).waitFor();
  assert.equal(await page.locator('meta[http-equiv=refresh]').count(), 0);
  await shoot(page, 'sem-script-pix');
  await page.getByRole('link', { name: 'Voltar a atualizar' }).click();
  await page.getByRole('button', { name: 'Simular pagamento' }).click();
  await heading(page, 'Matrícula feita. Boas-vindas, Iara!');
  await page.done();
});

test('without JavaScript: errors take the focus', async () => {
  const page = await visit(`${course}/matricula`, { js: false });
  await page.getByRole('button', { name: /^Pagar/ }).click();
  await page.locator('.mistakes').waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), 'erros');
  await page.done();
});

// tabTo presses Tab until the focused element fits, and checks on the way that
// the focus can always be seen.
async function tabTo(page, fits, what) {
  for (let i = 0; i < 80; i += 1) {
    await page.keyboard.press('Tab');
    const seen = await page.evaluate(() => {
      const e = document.activeElement;
      const around = [e, e.closest('.card'), e.closest('.choice')].filter(Boolean);
      return { tag: e.tagName, name: e.name, href: e.getAttribute('href'), text: e.textContent.trim(), outlined: around.some((x) => getComputedStyle(x).outlineStyle !== 'none') };
    });
    assert.ok(seen.tag === 'BODY' || seen.outlined, `no visible focus on ${JSON.stringify(seen)}`);
    if (fits(seen)) return;
  }
  assert.fail(`the keyboard does not reach ${what}`);
}

test('with the keyboard alone: from the home page to enrolled', async () => {
  const who = person('Joana Dias');
  const page = await visit('/');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Pular para o conteúdo');
  await page.keyboard.press('Enter');
  await tabTo(page, (e) => e.href === course, 'the course');
  await page.keyboard.press('Enter');
  await page.waitForURL(`**${course}`);
  await tabTo(page, (e) => e.href === `${course}/matricula`, 'the enrolment');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/matricula');
  for (const [name, value] of Object.entries(who)) {
    await tabTo(page, (e) => e.name === name, name);
    await page.keyboard.type(value);
  }
  await tabTo(page, (e) => e.name === 'metodo', 'the method');
  await page.keyboard.press('ArrowDown');
  assert.equal(await page.locator('[name=metodo]:checked').inputValue(), 'pix');
  await page.keyboard.press('ArrowUp');
  const number = card();
  for (const [name, value] of Object.entries({ numero: number, titular: 'JOANA DIAS', validade: '1231', cvv: '123' })) {
    await tabTo(page, (e) => e.name === name, name);
    await page.keyboard.type(value);
  }
  await tabTo(page, (e) => e.name === 'parcelas', 'the parts');
  assert.equal(await page.getByLabel('Número do cartão').inputValue(), number.replace(/(.{4})(?=.)/g, '$1 '), 'the number was not tidied');
  assert.equal(await page.getByLabel('Validade').inputValue(), '12/31');
  await page.keyboard.press('ArrowDown');
  await tabTo(page, (e) => /^Pagar/.test(e.text), 'the button');
  await page.keyboard.press('Enter');
  await heading(page, 'Matrícula feita. Boas-vindas, Joana!');
  await tabTo(page, (e) => e.text === 'Ver minha matrícula', 'the way on');
  await page.keyboard.press('Enter');
  await heading(page, who.nome);
  await page.done();
});

test('with larger text and forced colours nothing is lost', async () => {
  const page = await visit(`${course}/matricula`);
  await page.emulateMedia({ forcedColors: 'active' });
  await shoot(page, 'cores-forcadas');
  await page.emulateMedia({ forcedColors: 'none' });
  // 200 % zoom of a 1280 pixel window is a window of 640 (WCAG 1.4.4, 1.4.10).
  await page.setViewportSize({ width: 640, height: 450 });
  await check(page, 'matricula-zoom');
  await page.done();
});
