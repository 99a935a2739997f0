// What the pages do beyond HTML: watch a payment live, copy its code, print a
// boleto, tidy what is typed, and not send a form twice. Without this script
// everything still works.
(() => {
  'use strict';
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => root.querySelectorAll(selector);
  const say = (text) => { const box = one('#anuncio'); if (box) box.textContent = text; };

  // Buttons that need a script are hidden until it is there.
  function equip(root) {
    for (const button of all('[data-copy]', root)) {
      button.hidden = false;
      const label = button.textContent;
      button.addEventListener('click', async () => {
        const source = document.getElementById(button.dataset.copy);
        const text = source.value;
        try {
          await navigator.clipboard.writeText(text);
        } catch { // no clipboard without HTTPS; the old way still works there
          source.select();
          if (!document.execCommand('copy')) return;
        }
        button.textContent = 'Copiado';
        say('Código copiado.');
        setTimeout(() => { button.textContent = label; }, 2500);
      });
    }
    for (const button of all('[data-print]', root)) {
      button.hidden = false;
      button.addEventListener('click', () => window.print());
    }
  }

  // The progress of a payment: ask for the live part, swap it in when it changed.
  const slowest = 5000;
  let failures = 0;
  let asked = 0;

  function swap(html) {
    const old = one('#estado');
    const next = one('#estado', new DOMParser().parseFromString(html, 'text/html'));
    if (!next || next.dataset.version === old.dataset.version) return;
    const inside = old.contains(document.activeElement);
    old.replaceWith(next);
    equip(next);
    document.title = next.dataset.title;
    say(next.dataset.said);
    if (inside) one('h1', next).focus();
    asked = 0;
  }

  async function ask() {
    const box = one('#estado');
    try {
      const answer = await fetch(box.dataset.url, { cache: 'no-store' });
      if (!answer.ok) throw new Error(String(answer.status));
      swap(await answer.text());
      failures = 0;
    } catch {
      failures += 1;
    }
    one('#sem-resposta').hidden = failures < 2;
    wait();
  }

  function wait() {
    const every = Number(one('#estado')?.dataset.poll);
    if (!every) return;
    asked += 1;
    const pause = Math.min(every * 1.15 ** Math.max(0, asked - 10), Math.max(every, slowest));
    setTimeout(() => {
      if (document.hidden) document.addEventListener('visibilitychange', ask, { once: true });
      else ask();
    }, pause);
  }

  // Tidy numbers when the visitor leaves the field, never while typing.
  const digits = (text) => text.replace(/\D/g, '');
  const tidy = {
    cpf: (d) => (d.length === 11 ? d.replace(/(...)(...)(...)(..)/, '$1.$2.$3-$4') : null),
    numero: (d) => (d.length >= 12 ? d.replace(/(.{4})(?=.)/g, '$1 ') : null),
    validade: (d) => (d.length === 4 ? d.replace(/(..)(..)/, '$1/$2') : null),
  };
  document.addEventListener('change', (event) => {
    const rule = tidy[event.target.name];
    const value = rule && rule(digits(event.target.value));
    if (value) event.target.value = value;
  });

  // One click is enough; coming back with the back button allows another.
  document.addEventListener('submit', (event) => {
    const form = event.target;
    if (!form.matches('[data-once]')) return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = 'yes';
    const button = one('button[type=submit]', form);
    button.dataset.label = button.textContent;
    button.setAttribute('aria-disabled', 'true');
    button.textContent = 'Enviando…';
  });
  window.addEventListener('pageshow', () => {
    for (const form of all('[data-sent]')) {
      delete form.dataset.sent;
      const button = one('button[type=submit]', form);
      button.removeAttribute('aria-disabled');
      button.textContent = button.dataset.label;
    }
  });

  equip(document);
  if (one('#estado')) wait();
})();
