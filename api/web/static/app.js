// What pages do a little better with a script. Without it they work the same.
'use strict';
(() => {
  const d = document, live = d.getElementById('live'), dialog = d.getElementById('dialog');
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
  const field = t => t.closest('input, textarea, select, [contenteditable]');

  // Copy buttons.
  const copy = async b => {
    try { await navigator.clipboard.writeText(b.dataset.copy); } catch {
      const a = d.createElement('textarea'); a.value = b.dataset.copy; a.className = 'vh'; b.after(a); a.select(); d.execCommand('copy'); a.remove(); b.focus();
    }
    say('Copied');
    const old = b.title; b.title = 'Copied'; setTimeout(() => { b.title = old; }, 2000);
  };

  // Parts of a page that are fetched and put in place: hidden lines, large files.
  const swap = async a => {
    a.setAttribute('aria-busy', 'true');
    try {
      const p = await fetchPage(a.href), id = a.dataset.swap, now = p.getElementById(id);
      if (!now) throw new Error('no such part');
      d.getElementById(id).replaceWith(d.adoptNode(now));
      history.replaceState(null, '', a.href);
      const target = d.getElementById(new URL(a.href).hash.slice(1));
      if (target) { target.tabIndex = -1; target.focus({ preventScroll: true }); }
    } catch { location.href = a.href; }
  };

  // Forms that are pages shown in the dialog.
  let opener, edited = false;
  const open = async a => {
    try {
      const p = await fetchPage(a.href), form = p.querySelector('[data-dialog-body]');
      if (!form) throw new Error('no form');
      dialog.replaceChildren(d.adoptNode(form));
      const h = dialog.querySelector('h1, h2'); if (h) h.id = 'dialog-title';
      opener = a; edited = false; dialog.showModal();
      const f = dialog.querySelector('[autofocus], input:not([type=hidden]), select, textarea'); if (f) f.focus();
    } catch { location.href = a.href; }
  };
  const leave = () => !edited || confirm('Close and lose what was entered?');
  dialog.addEventListener('cancel', e => { if (!leave()) e.preventDefault(); });
  dialog.addEventListener('close', () => { if (opener) opener.focus(); });
  dialog.addEventListener('input', () => { edited = true; });

  // Unsaved settings.
  let dirty = false;
  d.addEventListener('input', e => { if (e.target.closest('form[data-leave]')) dirty = true; });
  window.addEventListener('beforeunload', e => { if (dirty) e.preventDefault(); });

  d.addEventListener('submit', e => {
    dirty = false;
    const b = e.submitter || e.target.querySelector('button');
    if (e.target.method !== 'post' || !b) return;
    if (b.getAttribute('aria-busy') === 'true') { e.preventDefault(); return; }
    b.setAttribute('aria-busy', 'true');
    setTimeout(() => b.removeAttribute('aria-busy'), 8000);
  });
  d.addEventListener('change', e => {
    const f = e.target.closest('form[data-auto]');
    if (f && e.target.matches('select')) f.requestSubmit();
    const again = e.target.closest('select[data-reload]');
    if (again) again.form.requestSubmit(again.form.querySelector('button[value=reload]'));
    const all = e.target.closest('[data-all]');
    if (all) all.closest('form').querySelectorAll('input[name="' + all.dataset.all + '"]').forEach(x => { x.checked = all.checked; });
  });
  d.addEventListener('click', e => {
    const t = e.target;
    d.querySelectorAll('details.menu[open]').forEach(m => { if (!m.contains(t)) m.open = false; });
    let x;
    if ((x = t.closest('[data-copy]'))) copy(x);
    else if (e.ctrlKey || e.metaKey || e.shiftKey || e.button) return;
    else if ((x = t.closest('a[data-swap]'))) { e.preventDefault(); swap(x); }
    else if ((x = t.closest('a[data-dialog]'))) { e.preventDefault(); open(x); }
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

  // Pages about work that goes on look again.
  const seconds = +d.body.dataset.refresh, began = Date.now();
  const again = async () => {
    const busy = d.hidden || dialog.open || dirty || field(d.activeElement || d.body) || d.querySelector('details.menu[open]');
    try {
      if (!busy) {
        const p = await fetchPage(location.href);
        const y = scrollY, now = p.getElementById('main');
        if (now) { d.getElementById('main').replaceWith(d.adoptNode(now)); scrollTo(0, y); }
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
  const keys = {
    '/': () => { const f = d.querySelector('[data-search]'); if (f) f.focus(); },
    j: () => walk(1), k: () => walk(-1),
    o: () => { const x = items()[at], a = x && x.querySelector('a'); if (a) a.click(); },
    c: () => { const x = items()[at], b = (x || d).querySelector('[data-copy]'); if (b) copy(b); },
    e: () => { const a = d.querySelector('a[data-swap]'); if (a) swap(a); },
    '?': () => { location.href = '/help'; },
    b: () => { const a = d.querySelector('[data-key=b]'); if (a) a.click(); },
    p: () => { const a = d.querySelector('[data-key=p]'); if (a) a.click(); },
  };
  const places = { r: '/repos', a: '/admin/integrations', h: '/', s: '/settings' };
  d.addEventListener('keydown', e => {
    if (e.key === 'Escape') d.querySelectorAll('details.menu[open]').forEach(m => { m.open = false; m.querySelector('summary').focus(); });
    if (e.ctrlKey || e.metaKey || e.altKey || dialog.open || field(e.target) || d.documentElement.dataset.keys === 'off') return;
    if (g && Date.now() - g < 1500 && places[e.key]) { g = 0; location.href = places[e.key]; return; }
    g = e.key === 'g' ? Date.now() : 0;
    if (keys[e.key]) { e.preventDefault(); keys[e.key](); }
  });

  const first = d.getElementById('problem') || d.getElementById('flash');
  if (first) first.focus();
})();
