// The page of the test exchange. Every text reaches the page as a text node, never as markup.

const view = document.getElementById('view');
const message = document.getElementById('message');
let me = null;
let permissions = [];

/** An element with properties and children; a string child is a text node. */
function el(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (name === 'click' || name === 'submit') element.addEventListener(name, value);
    else if (name === 'class') element.className = value;
    else if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined) element.append(child);
  }
  return element;
}

function say(text, bad) {
  message.textContent = text;
  message.className = bad ? 'bad' : '';
  message.hidden = !text;
  if (text) message.scrollIntoView({ block: 'nearest' });
}

/** Asks the exchange; a refusal is thrown as its words. */
async function ask(method, path, body) {
  const options = { method, headers: {} };
  if (method !== 'GET') {
    options.headers['Content-Type'] = 'application/json';
    options.body = JSON.stringify(body ?? {});
  }
  const answer = await fetch(`/web/api/${path}`, options);
  const data = await answer.json();
  if (answer.ok) return data;
  if (answer.status === 401 && path !== 'sign-in') me = null;
  throw new Error(`${data.error.message} (${data.error.code})`);
}

/** Does something, says how it went, and draws the view again. */
async function act(work, done) {
  try {
    await work();
    say(done ?? '', false);
  } catch (error) {
    say(error.message, true);
    if (me !== null) return;
  }
  await draw();
}

const time = (ms) => (ms ? new Date(ms).toLocaleString() : 'from the start');
const field = (words, input, hint) => el('label', {}, el('span', {}, words), input, hint ? el('span', { class: 'quiet' }, hint) : null);
const submit = (words) => el('button', { type: 'submit', class: 'first' }, words);
const form = (work, ...children) => el('form', { submit: (event) => { event.preventDefault(); work(new FormData(event.target), event.target); } }, children);
const button = (words, click, kind) => el('button', { type: 'button', click, class: kind ?? '' }, words);
const section = (title, ...children) => el('section', {}, el('h2', {}, title), children);
const choice = (name, options) => el('select', { name }, options.map(([value, words]) => el('option', { value }, words)));
const words = (text) => text.split(/[\s,]+/).filter((part) => part);

function credentials(title, path, button, done, hint) {
  const send = (data) => act(async () => {
    await ask('POST', path, { email: data.get('email'), password: data.get('password') });
    await start();
  }, done);
  return section(title, form(send,
    field('E-mail', el('input', { name: 'email', type: 'text', inputMode: 'email', autocomplete: 'username', required: true, placeholder: 'ada@example.org' }), hint),
    field('Password', el('input', { name: 'password', type: 'password', autocomplete: path === 'sign-up' ? 'new-password' : 'current-password', required: true, minLength: 8 }), path === 'sign-up' ? 'at least 8 characters' : null),
    submit(button)));
}

const views = {
  welcome: async () => [
    credentials('Sign up', 'sign-up', 'Open an account', 'Your account is open. Take some coins from the faucet, or go on to API keys.', 'Any address will do: letters stay in a mailbox inside this page.'),
    credentials('Sign in', 'sign-in', 'Sign in', ''),
  ],

  wallets: async () => {
    const wallets = await ask('GET', 'wallets');
    const owners = wallets.map((wallet) => [wallet.uid, wallet.name || 'main account']);
    const coins = me.coins.map((coin) => [coin, coin]);
    const faucet = form((data) => act(() => ask('POST', 'faucet', Object.fromEntries(data)), `${data.get('amount')} ${data.get('coin')} are in the spot wallet.`),
      el('div', { class: 'row' },
        field('Coin', choice('coin', [['USDT', 'USDT'], ...coins.filter(([coin]) => coin !== 'USDT')])),
        field('Amount', el('input', { name: 'amount', inputMode: 'decimal', required: true, value: '10000' })),
        field('Account', choice('uid', owners))),
      submit('Give me test coins'));
    const move = (data) => {
      const [from_uid, from] = data.get('from').split(' ');
      const [to_uid, to] = data.get('to').split(' ');
      return act(() => ask('POST', 'transfer', { from_uid, from, to_uid, to, coin: data.get('coin'), amount: data.get('amount') }), 'Moved.');
    };
    const at = (name) => (owners.length > 1 ? ` · ${name}` : '');
    const places = owners.flatMap(([uid, name]) => [[`${uid} spot`, `Spot${at(name)}`], [`${uid} futures`, `Futures${at(name)}`]]);
    const to = choice('to', places);
    if (to.options.length > 1) to.selectedIndex = 1;
    const transfer = form(move,
      el('div', { class: 'row' }, field('From', choice('from', places)), field('To', to)),
      el('div', { class: 'row' }, field('Coin', choice('coin', [['USDT', 'USDT'], ...coins.filter(([coin]) => coin !== 'USDT')])),
        field('Amount', el('input', { name: 'amount', inputMode: 'decimal', required: true }))),
      submit('Move'));
    const table = (wallet) => section(`${wallet.name || 'Main account'} · UID ${wallet.uid}`,
      el('h3', {}, 'Spot'),
      wallet.spot.length === 0 ? el('p', { class: 'quiet' }, 'Empty. The faucet fills it.') : el('table', {},
        el('tr', {}, el('th', {}, 'Coin'), el('th', { class: 'number' }, 'Available'), el('th', { class: 'number' }, 'In orders')),
        wallet.spot.map((row) => el('tr', {}, el('td', {}, row.coin), el('td', { class: 'number' }, row.available), el('td', { class: 'number' }, row.frozen)))),
      el('h3', {}, 'Futures'),
      wallet.futures === null ? el('p', { class: 'quiet' }, 'Not open.') : el('table', {},
        el('tr', {}, el('th', {}, 'Coin'), el('th', { class: 'number' }, 'Balance'), el('th', { class: 'number' }, 'Available')),
        el('tr', {}, el('td', {}, wallet.futures.coin), el('td', { class: 'number' }, wallet.futures.balance), el('td', { class: 'number' }, wallet.futures.available))));
    return [...wallets.map(table), section('Faucet', faucet), section('Move coins', transfer)];
  },

  keys: async () => {
    const [{ keys, keys_max }, wallets] = await Promise.all([ask('GET', 'keys'), ask('GET', 'wallets')]);
    const owners = wallets.map((wallet) => [wallet.uid, wallet.name || 'main account']);
    const name = (uid) => owners.find(([owner]) => owner === uid)?.[1] ?? uid;
    const list = section('Your API keys', keys.length === 0 ? el('p', { class: 'quiet' }, 'None yet.') : keys.map((key) => keyItem(key, name(key.uid))));
    const ticked = (data) => data.getAll('permissions');
    const make = (data) => act(async () => {
      await ask('POST', 'keys', {
        uid: data.get('uid'), note: data.get('note'), passphrase: data.get('passphrase'), permissions: ticked(data),
        ips: words(data.get('ips')), demo: data.get('demo') === 'on', expires_in_s: data.get('days') ? String(Math.round(Number(data.get('days')) * 86400)) : '',
      });
      location.hash = '#mail';
    }, 'A letter is in your mailbox: the key exists when you open its link.');
    const create = section('New API key', form(make,
      field('Note', el('input', { name: 'note', required: true, maxLength: 20, placeholder: 'my bot' })),
      field('Passphrase', el('input', { name: 'passphrase', required: true, minLength: 8, maxLength: 32, pattern: '[A-Za-z0-9]+', autocomplete: 'off' }), '8 to 32 letters and digits. You choose it; it is not shown again and cannot be changed.'),
      rightsOf(['read', 'trade']),
      field('Addresses that may use it', el('textarea', { name: 'ips', rows: 2, value: '127.0.0.1' }), 'up to 30; empty: any address'),
      el('div', { class: 'row' }, field('Account', choice('uid', owners)),
        field('Ends after days', el('input', { name: 'days', inputMode: 'decimal', pattern: '[0-9]+([.][0-9]+)?' }), 'empty: never')),
      el('label', { class: 'tick' }, el('input', { type: 'checkbox', name: 'demo' }), el('span', {}, 'demo key (requests carry paptrading: 1)')),
      submit('Create')), el('p', { class: 'quiet' }, `At most ${keys_max} keys for each account.`));
    return [list, create];
  },

  mail: async () => {
    const letters = await ask('GET', 'mail');
    const open = (link) => { location.hash = new URL(link).hash; };
    const list = letters.map((letter) => el('div', { class: 'item' },
      el('h3', {}, letter.subject, el('span', { class: 'quiet' }, time(letter.at_ms))),
      el('p', {}, letter.text),
      letter.link === null ? null : button('Open the link', () => open(letter.link), 'first')));
    const box = section('Mailbox', el('p', { class: 'quiet' }, `What the exchange writes to ${me.email}. Nothing leaves this machine.`), list);
    box.className = 'wide';
    return [box];
  },

  subs: async () => {
    const subs = await ask('GET', 'subs');
    const item = (sub) => el('div', { class: 'item' },
      el('h3', {}, sub.name, el('span', { class: sub.frozen ? 'badge frozen' : 'badge active' }, sub.frozen ? 'frozen' : 'normal')),
      el('dl', {}, el('dt', {}, 'UID'), el('dd', {}, sub.uid), el('dt', {}, 'API keys'), el('dd', {}, String(sub.keys)), el('dt', {}, 'Opened'), el('dd', {}, time(sub.created_ms))),
      sub.frozen ? button('Thaw', () => act(() => ask('POST', 'accounts/thaw', { uid: sub.uid }), `${sub.name} works again.`))
        : button('Freeze', () => act(() => ask('POST', 'accounts/freeze', { uid: sub.uid }), `${sub.name} is frozen, and its keys with it.`), 'danger'));
    const open = form((data) => act(() => ask('POST', 'subs', { name: data.get('name') }), 'The sub-account is open. Make a key for it under API keys.'),
      field('Name', el('input', { name: 'name', required: true, pattern: '[A-Za-z]{8}', maxLength: 8, autocomplete: 'off' }), 'exactly 8 letters'), submit('Open'));
    const own = me.frozen ? button('Thaw my account', () => act(() => ask('POST', 'accounts/thaw'), 'Your account works again.'))
      : button('Freeze my account', () => act(() => ask('POST', 'accounts/freeze'), 'Your account, its sub-accounts and all keys are frozen.'), 'danger');
    return [
      section('Sub-accounts', subs.length === 0 ? el('p', { class: 'quiet' }, 'None yet.') : subs.map(item)),
      section('New sub-account', open),
      section('Main account', el('p', {}, `UID ${me.uid}: ${me.frozen ? 'frozen' : 'normal'}`), own),
    ];
  },
};

function rightsOf(held) {
  return el('fieldset', {}, el('legend', {}, 'Permissions'), permissions.map(({ name, words }) =>
    el('label', {}, el('input', { type: 'checkbox', name: 'permissions', value: name, checked: held.includes(name) }), el('span', {}, words))));
}

function keyItem(key, owner) {
  const state = el('span', { class: `badge ${key.state === 'active' ? 'active' : ''} ${/frozen|expired/.test(key.state) ? 'frozen' : ''}` }, key.state);
  const rights = key.permissions.map((name) => permissions.find((it) => it.name === name)?.words ?? name).join('; ');
  const facts = [['Key', key.key ?? 'not yet'], ['Account', owner], ['May', rights || 'nothing'], ['Addresses', key.ips.join(', ') || 'any'],
    ['Made', time(key.created_ms)], ['Ends', key.expires_ms === null ? 'never' : time(key.expires_ms)]];
  if (key.demo) facts.push(['Kind', 'demo']);
  const details = el('dl', {}, facts.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, name === 'Key' ? el('code', {}, value) : value)]));
  const item = el('div', { class: 'item' }, el('h3', {}, key.note || 'no note', state), details);
  if (key.key === null) {
    item.append(el('p', { class: 'quiet' }, 'Its letter is in the mailbox.'));
    return item;
  }
  const send = (path, done) => () => act(() => ask('POST', path, { key: key.key }), done);
  const edit = form((data) => act(() => ask('POST', 'keys/change', { key: key.key, permissions: data.getAll('permissions'), ips: words(data.get('ips')) }), 'Changed. It holds at once.'),
    rightsOf(key.permissions), field('Addresses', el('textarea', { name: 'ips', rows: 2, value: key.ips.join('\n') })), submit('Save'));
  edit.hidden = true;
  item.append(el('div', { class: 'row' },
    button('Change', () => { edit.hidden = !edit.hidden; }),
    key.state === 'frozen' ? button('Thaw', send('keys/thaw', 'The key works again.')) : button('Freeze', send('keys/freeze', 'The key is frozen.')),
    button('Delete', send('keys/delete', 'The key is deleted.'), 'danger')), edit);
  return item;
}

function secretLine(name, value) {
  const copy = button('Copy', async () => {
    try {
      await navigator.clipboard.writeText(value);
      copy.textContent = 'Copied';
    } catch {
      copy.textContent = 'Select it and copy';
    }
  });
  return [el('h3', {}, name), el('div', { class: 'secret' }, el('code', {}, value), copy)];
}

async function confirmed(token) {
  // The link works once: it is taken out of the address before anything else.
  history.replaceState(null, '', '#keys');
  try {
    const key = await ask('POST', 'keys/confirm', { token });
    say('The key is active. Its secret is shown now and never again.', false);
    const shown = section('Your new API key', secretLine('API key', key.key), secretLine('Secret', key.secret),
      el('h3', {}, 'Passphrase'), el('p', {}, 'the one you chose'),
      el('h3', {}, 'Next'), el('p', {}, 'Give the three of them to your bot; it asks for them one after the other:'), el('p', {}, el('code', {}, 'steadfast keys add bitget-main --venue bitget')),
      button('I have stored the secret', () => { say(''); return draw(); }, 'first'));
    shown.className = 'wide';
    view.replaceChildren(shown);
    mark('keys');
    await count();
  } catch (error) {
    say(error.message, true);
    await draw();
  }
}

async function count() {
  const letters = me === null ? [] : await ask('GET', 'mail');
  const waiting = letters.filter((letter) => letter.link !== null).length;
  document.getElementById('letters').textContent = waiting > 0 ? String(waiting) : '';
}

/** Shows in the navigation where we are. */
function mark(name) {
  for (const link of document.querySelectorAll('nav a')) {
    if (link.hash === `#${name}`) link.setAttribute('aria-current', 'page'); else link.removeAttribute('aria-current');
  }
}

let drawing = 0;

async function draw() {
  const turn = ++drawing;
  const name = me === null ? 'welcome' : (location.hash.slice(1) in views ? location.hash.slice(1) : 'wallets');
  document.getElementById('nav').hidden = me === null;
  document.getElementById('sign-out').hidden = me === null;
  document.getElementById('who').textContent = me === null ? '' : `${me.email} · UID ${me.uid}`;
  mark(name);
  try {
    if (me !== null) me = await ask('GET', 'me');
    const parts = await views[name]();
    if (turn === drawing) view.replaceChildren(...parts);
    await count();
  } catch (error) {
    say(error.message, true);
    if (me === null && name !== 'welcome') await draw();
  }
}

async function start() {
  try {
    me = await ask('GET', 'me');
    permissions = await ask('GET', 'permissions');
  } catch {
    me = null;
  }
}

async function route() {
  const token = /^#confirm=([0-9a-f]+)$/.exec(location.hash)?.[1];
  if (token !== undefined && me !== null) await confirmed(token);
  else await draw();
}

document.getElementById('sign-out').addEventListener('click', () => act(async () => {
  await ask('POST', 'sign-out');
  me = null;
  location.hash = '';
}, 'Signed out.'));
window.addEventListener('hashchange', route);
await start();
await route();
