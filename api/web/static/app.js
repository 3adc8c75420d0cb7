// What pages do a little better with a script. Without it they work the same.
'use strict';
(() => {
  const d = document, $ = id => d.getElementById(id), live = $('live'), dialog = $('dialog');
  d.documentElement.classList.add('script');
  // The only way from text to markup: whole pages of this server.
  const tt = window.trustedTypes ? trustedTypes.createPolicy('gf', { createHTML: s => s }) : { createHTML: s => s };
  const say = t => { live.textContent = ''; setTimeout(() => { live.textContent = t; }, 50); };
  const fetchPage = async (href) => {
    const u = new URL(href, location.href);
    if (u.origin !== location.origin) throw new Error('other origin');
    const r = await fetch(u, { headers: { Accept: 'text/html' }, signal: AbortSignal.timeout(15000) });
    if (!r.ok || new URL(r.url).origin !== location.origin) throw new Error(r.status);
    return new DOMParser().parseFromString(tt.createHTML(await r.text()), 'text/html');
  };
  const on = (t, what, f) => t.addEventListener(what, f), make = (tag, o) => Object.assign(d.createElement(tag), o);
  const field = t => t.closest('input, textarea, select, [contenteditable]');

  // Copy buttons.
  const copy = async b => {
    try { await navigator.clipboard.writeText(b.dataset.copy); } catch {
      const a = make('textarea', { value: b.dataset.copy, className: 'vh' }); b.after(a); a.select(); d.execCommand('copy'); a.remove(); b.focus();
    }
    say('Copied');
    const old = b.title; b.title = 'Copied'; setTimeout(() => { b.title = old; }, 2000);
  };

  // Parts of pages.
  const swap = async a => {
    a.ariaBusy = 'true';
    try {
      const p = await fetchPage(a.href), id = a.dataset.swap, now = p.getElementById(id);
      if (!now) throw new Error('no such part');
      $(id).replaceWith(d.adoptNode(now));
      history.replaceState(null, '', a.href);
      const target = $(new URL(a.href).hash.slice(1));
      if (target) { target.tabIndex = -1; target.focus({ preventScroll: true }); }
    } catch { location.href = a.href; }
  };

  // Fields that complete.
  const combo = i => {
    const url = i.dataset.complete, all = i.list ? [...i.list.options].map(o => ({ value: o.value, text: o.label || o.value })) : [];
    const wrap = make('span', { className: 'combo' }), box = make('ul', { id: i.id + '-list', role: 'listbox', ariaLabel: i.labels[0].textContent }), had = d.activeElement === i;
    let at = -1, timer;
    i.before(wrap); wrap.append(i, box); i.removeAttribute('list'); i.setAttribute('aria-controls', box.id);
    Object.assign(i, { role: 'combobox', autocomplete: 'off', ariaAutoComplete: 'list' });
    if (had) i.focus();
    const mark = n => {
      const l = [...box.children]; if (l.length) at = (n + l.length) % l.length;
      l.forEach((o, k) => { o.ariaSelected = k === at; });
      i.setAttribute('aria-activedescendant', l[at] ? l[at].id : ''); if (l[at]) l[at].scrollIntoView({ block: 'nearest' });
    };
    const show = l => {
      clearTimeout(timer); at = -1;
      box.replaceChildren(...l.slice(0, 50).map((o, k) => make('li', { role: 'option', id: box.id + k, title: o.value, textContent: o.text })));
      box.hidden = !l.length; i.ariaExpanded = !box.hidden; i.removeAttribute('aria-activedescendant');
    };
    const choose = o => { i.value = o.title; show([]); i.dispatchEvent(new Event('change', { bubbles: true })); };
    const look = async q => {
      try { const l = url ? q ? await (await fetch(url + '?q=' + encodeURIComponent(q))).json() : [] : all.filter(o => o.text.toLowerCase().includes(q.toLowerCase())); if (i.value.trim() === q && at < 0) show(l); } catch { show([]); }
    };
    on(i, 'input', () => { clearTimeout(timer); timer = setTimeout(look, 150, i.value.trim()); });
    on(i, 'keydown', e => {
      const by = { ArrowDown: 1, ArrowUp: -1 }[e.key], o = box.children[at];
      if (by && box.hidden) show(all); else if (by) mark(o || by > 0 ? at + by : -1);
      else if (e.key === 'Enter' && o) choose(o);
      else if (e.key === 'Escape' && !box.hidden) show([]);
      else return;
      e.preventDefault();
    });
    on(i, 'blur', () => show([]));
    on(box, 'mousedown', e => e.preventDefault());
    on(box, 'click', e => { if (e.target.title) choose(e.target); });
    show([]);
  };
  const combos = root => root.querySelectorAll('input[list], input[data-complete]').forEach(combo);
  combos(d);

  // Forms in the dialog.
  let opener, edited = false;
  const open = async a => {
    try {
      const p = await fetchPage(a.href), form = p.querySelector('[data-dialog-body]');
      if (!form) throw new Error('no form');
      dialog.replaceChildren(d.adoptNode(form));
      const h = dialog.querySelector('h1, h2'); if (h) h.id = 'dialog-title';
      opener = a; edited = false; dialog.showModal(); combos(dialog);
      const f = dialog.querySelector('[autofocus], input:not([type=hidden]), select, textarea'); if (f) f.focus();
    } catch { location.href = a.href; }
  };
  const leave = () => !edited || confirm('Close and lose what was entered?');
  on(dialog, 'cancel', e => { if (!leave()) e.preventDefault(); });
  on(dialog, 'close', () => { if (opener) opener.focus(); });
  on(dialog, 'input', () => { edited = true; });

  // Unsaved.
  let dirty = false;
  on(d, 'input', e => { if (e.target.closest('form[data-leave]')) dirty = true; });
  on(window, 'beforeunload', e => { if (dirty) e.preventDefault(); });

  on(d, 'submit', e => {
    dirty = false;
    const b = e.submitter || e.target.querySelector('button');
    if (e.target.method !== 'post' || !b) return;
    if (b.ariaBusy) { e.preventDefault(); return; }
    b.ariaBusy = 'true';
    setTimeout(() => { b.ariaBusy = null; }, 8000);
  });
  on(d, 'change', e => {
    const f = e.target.closest('form[data-auto]');
    if (f && e.target.matches('select')) f.requestSubmit();
    const again = e.target.closest('[data-reload]');
    if (again) again.form.requestSubmit(again.form.querySelector('button[value=reload]'));
    const all = e.target.closest('[data-all]');
    if (all) all.closest('form').querySelectorAll('input[name="' + all.dataset.all + '"]').forEach(x => { x.checked = all.checked; });
  });
  on(d, 'click', e => {
    const t = e.target;
    d.querySelectorAll('details.menu[open]').forEach(m => { if (!m.contains(t)) m.open = false; });
    let x;
    if ((x = t.closest('[data-copy]'))) copy(x);
    else if (e.ctrlKey || e.metaKey || e.shiftKey || e.button) return;
    else if ((x = t.closest('a[data-swap]'))) { e.preventDefault(); swap(x); }
    else if ((x = t.closest('a[data-dialog]'))) { e.preventDefault(); open(x); }
    else if ((x = t.closest('[data-stay]'))) { e.preventDefault(); stay(x); }
    else if ((x = t.closest('[data-close]')) && dialog.contains(x)) { e.preventDefault(); if (leave()) dialog.close(); }
  });

  // Times.
  const rel = s => s < 60 ? 'just now' : s < 3600 ? n(s / 60, 'minute') : s < 86400 ? n(s / 3600, 'hour') : n(s / 86400, 'day');
  const n = (v, w) => { v = Math.floor(v); return v + ' ' + w + (v === 1 ? '' : 's') + ' ago'; };
  const tick = () => d.querySelectorAll('time[data-ago]').forEach(t => {
    const s = (Date.now() - Date.parse(t.dateTime)) / 1000;
    if (s >= 0 && s < 604800) t.textContent = rel(s);
  });
  setInterval(tick, 30000);

  // The end of the session.
  const ends = $('session'), warn = () => { if (ends) setTimeout(() => { ends.hidden = false; }, Math.max(0, ends.dataset.left - 120) * 1000); };
  const stay = async a => { try { await fetchPage(a.href); ends.hidden = true; warn(); } catch { location.href = a.href; } };
  warn();

  // Work.
  const seconds = +d.body.dataset.refresh, began = Date.now();
  const again = async () => {
    const busy = d.hidden || dialog.open || dirty || field(d.activeElement || d.body) || d.querySelector('details.menu[open]');
    try {
      if (!busy) {
        const p = await fetchPage(location.href);
        const y = scrollY, now = p.getElementById('main');
        if (now) { $('main').replaceWith(d.adoptNode(now)); combos(now); scrollTo(0, y); }
        if (!p.body.dataset.refresh) return;
      }
    } catch { /* the next look may work */ }
    setTimeout(again, (Date.now() - began > 60000 ? 10 : seconds) * 1000);
  };
  if (seconds) setTimeout(again, seconds * 1000);

  // Keyboard.
  let g = 0, at = -1;
  const items = () => [...d.querySelectorAll('[data-walk] > *, [data-walk-item]')];
  const walk = by => {
    const l = items(); if (!l.length) return;
    l.forEach(x => x.classList.remove('current'));
    at = Math.max(0, Math.min(l.length - 1, at + by));
    l[at].classList.add('current'); l[at].scrollIntoView({ block: 'nearest' });
    const a = l[at].querySelector('a, summary'); if (a) a.focus({ preventScroll: true });
  };
  const hit = q => { const a = d.querySelector(q); if (a) a.click(); };
  const keys = {
    '/': () => { const f = d.querySelector('[data-search]'); if (f) f.focus(); },
    j: () => walk(1), k: () => walk(-1),
    o: () => { const x = items()[at], a = x && x.querySelector('a'); if (a) a.click(); },
    c: () => { const x = items()[at], b = (x || d).querySelector('[data-copy]'); if (b) copy(b); },
    e: () => hit('a[data-swap]'),
    '?': () => { location.href = '/help'; },
    b: () => hit('[data-key=b]'), p: () => hit('[data-key=p]'),
  };
  const places = { r: '/repos', a: '/admin/integrations', h: '/', s: '/settings' };
  on(d, 'keydown', e => {
    if (e.key === 'Escape') d.querySelectorAll('details.menu[open]').forEach(m => { m.open = false; m.querySelector('summary').focus(); });
    if (e.ctrlKey || e.metaKey || e.altKey || dialog.open || field(e.target) || d.documentElement.dataset.keys === 'off') return;
    if (g && Date.now() - g < 1500 && places[e.key]) { g = 0; location.href = places[e.key]; return; }
    g = e.key === 'g' ? Date.now() : 0;
    if (keys[e.key]) { e.preventDefault(); keys[e.key](); }
  });

  const first = $('problem') || $('flash');
  if (first) first.focus();
})();
