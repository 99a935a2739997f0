// From a course to an enrolled student, by each means of payment, and the ways back.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { base, check, fillCard, fillPerson, firstCourse, heading, openMail, person, phone, send, shoot, start, stop, visit } from './kit.mjs';

let course;
before(async () => {
  await start();
  course = await firstCourse();
});
after(stop);

test('by card: from the home page to the welcome mail, live', async () => {
  const who = person('Ana Souza');
  const page = await visit('/');
  await page.locator(`.card a[href="${course}"]`).click();
  await page.getByRole('link', { name: 'Fazer matrícula' }).click();
  await fillPerson(page, who);
  await fillCard(page);
  await page.getByLabel('Parcelas').selectOption('3');
  await send(page);
  const address = page.url();
  await heading(page, 'Matrícula feita. Boas-vindas, Ana!');
  assert.equal(page.url(), address, 'the page was loaded anew instead of updated');
  assert.match(await page.title(), /^Matrícula feita/);
  assert.equal(await page.locator('.step.done').count(), 4);
  assert.match(await page.locator('.receipt').textContent(), /3 vezes/);
  await check(page, 'pagamento-aprovado');

  await page.getByRole('link', { name: 'Ver minha matrícula' }).click();
  await heading(page, who.nome);
  await page.getByText('Ativa').waitFor();
  assert.match(await page.locator('dl').textContent(), /\*\*\*/, 'the CPF is not masked');
  await check(page, 'aluno');

  await openMail(page, who.email, /boas-vindas/i);
  await check(page, 'correio-mensagem');
  const mail = page.frameLocator('iframe');
  await mail.getByText(/senha/i).first().waitFor();
  await page.getByText('Versão em texto').click();
  assert.match(await page.locator('pre').textContent(), /senha/i);
  // No script runs in a mail's own document, not even the check's, so it is looked at outside.
  const html = await (await page.request.get(`${new URL(page.url()).pathname}/html`)).text();
  await page.goto('about:blank');
  await page.setContent(html);
  await check(page, 'mensagem', { mail: true });
  await page.done();
});

test('by pix: code, copy, simulated payment', async () => {
  const page = await visit(`${course}/matricula`);
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write'], { origin: base });
  await fillPerson(page, person('Bruno Lima'));
  await page.getByLabel('Pix').check();
  assert.equal(await page.getByLabel('Número do cartão').isVisible(), false, 'card fields beside pix');
  await check(page, 'matricula-pix');
  await send(page);
  await heading(page, 'Falta só pagar o pix');
  await page.getByRole('img', { name: /QR code do pix/ }).waitFor();
  await check(page, 'pagamento-pix');
  await page.getByRole('button', { name: 'Copiar código' }).click();
  await page.getByRole('button', { name: 'Copiado' }).waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), await page.getByLabel('Pix copia e cola').inputValue());
  await page.getByRole('button', { name: 'Simular pagamento' }).click();
  await heading(page, 'Matrícula feita. Boas-vindas, Bruno!');
  await page.done();
});

test('by boleto: line, bars, print', async () => {
  const page = await visit(`${course}/matricula`);
  await fillPerson(page, person('Célia D’Ávila'));
  await page.getByLabel('Boleto').check();
  await send(page);
  await heading(page, 'Falta só pagar o boleto');
  assert.match(await page.getByLabel('Linha digitável').inputValue(), /^\d{5}\.\d{5} \d{5}\.\d{6} \d{5}\.\d{6} \d \d{14}$/);
  await page.getByRole('img', { name: 'Código de barras do boleto' }).waitFor();
  await check(page, 'pagamento-boleto');
  await page.emulateMedia({ media: 'print' });
  assert.equal(await page.getByRole('button', { name: 'Imprimir' }).isVisible(), false);
  await shoot(page, 'pagamento-boleto-impresso');
  await page.emulateMedia({ media: 'screen' });
  await page.getByRole('button', { name: 'Simular pagamento' }).click();
  await heading(page, 'Matrícula feita. Boas-vindas, Célia!');
  await page.done();
});

test('a refused card: the reason in words, and the way back filled in', async () => {
  const who = person('Davi Rocha');
  const page = await visit(`${course}/matricula`);
  await fillPerson(page, who);
  await fillCard(page, '4000 0000 0000 9995');
  await send(page);
  await heading(page, 'O pagamento não foi aprovado');
  const text = await page.locator('.progress-head').textContent();
  assert.match(text, /saldo|limite/i);
  assert.doesNotMatch(text, /saldo-insuficiente/);
  await check(page, 'pagamento-recusado');
  await page.getByRole('link', { name: 'Tentar de novo' }).click();
  assert.equal(await page.getByLabel('Nome completo').inputValue(), who.nome);
  assert.equal(await page.getByLabel('E-mail', { exact: true }).inputValue(), who.email);
  assert.equal(await page.getByLabel('Número do cartão').inputValue(), '');
  await page.getByLabel('CPF').fill(who.cpf);
  await fillCard(page);
  await send(page);
  await heading(page, 'Matrícula feita. Boas-vindas, Davi!');
  await page.done();
});

test('a form with mistakes: told at the top and beside each field, nothing lost but the card', async () => {
  const page = await visit(`${course}/matricula`);
  await page.getByLabel('Nome completo').fill('Ana Souza');
  await page.getByLabel('CPF').fill('111.111.111-11');
  await fillCard(page, '4111 1111 1111 1112');
  await page.getByLabel('Parcelas').selectOption('6');
  await page.getByRole('button', { name: /^Pagar/ }).click();
  await page.locator('.mistakes').waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), 'erros', 'the summary has no focus');
  assert.match(await page.title(), /^Erro: /);
  assert.ok(await page.locator('.mistakes li').count() >= 3);
  for (const name of ['email', 'cpf', 'numero']) {
    const field = page.locator(`[name=${name}]`);
    assert.equal(await field.getAttribute('aria-invalid'), 'true', name);
    const described = await field.getAttribute('aria-describedby');
    assert.ok((await page.locator(`#${described.split(' ')[0]}`).textContent()).length > 10, name);
  }
  assert.equal(await page.getByLabel('Nome completo').inputValue(), 'Ana Souza');
  assert.equal(await page.getByLabel('CPF').inputValue(), '111.111.111-11');
  assert.equal(await page.getByLabel('Parcelas').inputValue(), '6');
  assert.equal(await page.getByLabel('Número do cartão').inputValue(), '');
  assert.equal(await page.getByLabel('Código de segurança').inputValue(), '');
  const html = await page.content();
  assert.ok(!html.includes('4111111111111112') && !html.includes('4111 1111 1111 1112'), 'the card number came back');
  await check(page, 'matricula-erro');
  await page.locator('.mistakes a', { hasText: 'CPF' }).click();
  assert.equal(await page.evaluate(() => document.activeElement.name), 'cpf');
  await page.done();
});

test('a form sent twice at once is one payment', async () => {
  const page = await visit(`${course}/matricula`);
  const who = person('Elisa Prado');
  const form = { ...who, metodo: 'pix', chave: await page.locator('[name=chave]').inputValue() };
  const post = () => page.request.post(`${course}/matricula`, { form, maxRedirects: 0 });
  const answers = await Promise.all([post(), post(), post()]);
  for (const answer of answers) assert.equal(answer.status(), 303);
  assert.equal(new Set(answers.map((answer) => answer.headers().location)).size, 1);
  await page.done();
});

test('a form that another site sends is refused', async () => {
  const page = await visit('/entrar');
  const answer = await page.request.post(`${course}/matricula`, { form: { metodo: 'pix' }, headers: { origin: 'https://ataque.example' } });
  assert.equal(answer.status(), 403);
  await page.done();
});

test('by card on a telephone', async () => {
  const page = await visit(`${course}/matricula`, { viewport: phone, mobile: true });
  await fillPerson(page, person('Flávia Nunes'));
  await fillCard(page);
  await check(page, 'telefone-matricula');
  await page.getByRole('button', { name: /^Pagar/ }).tap();
  await heading(page, 'Matrícula feita. Boas-vindas, Flávia!');
  await check(page, 'telefone-aprovado');
  await page.done();
});

test('the page says so when the server goes away, and goes on when it is back', async () => {
  const page = await visit(`${course}/matricula`);
  await fillPerson(page, person('Gil Matos'));
  await page.getByLabel('Pix').check();
  await send(page);
  await heading(page, 'Falta só pagar o pix');
  await page.route('**/estado', (route) => route.fulfill({ status: 404, body: '' }));
  await page.getByText('O servidor não está respondendo').waitFor();
  await page.unroute('**/estado');
  await page.getByText('O servidor não está respondendo').waitFor({ state: 'hidden' });
  await page.done();
});

test('a name that is HTML stays a name, on every page and in the mail', async () => {
  const who = person('<i>Zé</i> "O\'Neil" <img src=x onerror=alert(1)>');
  const page = await visit(`${course}/matricula`);
  page.on('dialog', () => assert.fail('the name was run'));
  await fillPerson(page, who);
  await fillCard(page);
  await send(page);
  await heading(page, /Matrícula feita/);
  assert.equal(await page.locator('main i, main img').count(), 0);
  await page.getByRole('link', { name: 'Ver minha matrícula' }).click();
  await heading(page, who.nome);
  await openMail(page, who.email, /./);
  assert.equal(await page.frameLocator('iframe').locator('i, img').count(), 0);
  await page.done();
});
