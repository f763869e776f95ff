// Opens pages in a real browser and says what a reader sees of them, and what they try to do.
//
//   node show.mjs FOLDER BROWSER PAGE...    prints a list of objects, one a page
//
// FOLDER holds node_modules. Pages are files; each is opened alone, in a window of its own.

import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const MAX_MILLISECONDS = 60_000;
const FLAGS = ['--disable-gpu', '--disable-quic', '--disable-sync'];

const [folder, executablePath, ...pages] = process.argv.slice(2);
const { chromium } = createRequire(resolve(folder, 'package.json'))('playwright-core');

// Runs inside the page.
function read() {
  const clear = /^rgba\(.*, 0\)$/;
  // What is clear shows what it stands on, and at last the white of the window.
  const ground = (element) => {
    if (element === null) return 'rgb(255, 255, 255)';
    const colour = getComputedStyle(element).backgroundColor;
    return clear.test(colour) ? ground(element.parentElement) : colour;
  };
  const isSeen = (element) => {
    element.scrollIntoView({ block: 'center' });
    const isUncovered = ({ left, top, width, height }) =>
      width > 0 && height > 0 &&
      element.contains(document.elementFromPoint(left + width / 2, top + height / 2));
    return (
      element.checkVisibility({ opacityProperty: true, visibilityProperty: true }) &&
      [...element.getClientRects()].some(isUncovered)
    );
  };
  const textOf = (element) =>
    [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data).join('');
  const numberOf = (element) => (element === null ? null : Number(element.innerText));
  const pre = document.querySelector('pre');
  const pieces = [...pre.children].map((element) => ({
    text: textOf(element),
    id: numberOf(element.querySelector('sub')),
    colour: getComputedStyle(element).color,
    ground: ground(element),
    is_seen: isSeen(element),
  }));
  const page = document.body.innerText;
  for (const identity of pre.querySelectorAll('sub')) identity.style.display = 'none';
  return {
    page,
    text: pre.innerText,
    pieces,
    elements: [...new Set([...document.body.querySelectorAll('*')].map((one) => one.localName))],
    scripts: document.scripts.length,
  };
}

async function show(browser, page) {
  const url = pathToFileURL(page).href;
  const window = await browser.newPage();
  window.setDefaultTimeout(MAX_MILLISECONDS);
  const requests = [];
  const dialogs = [];
  const complaints = [];
  // A request that a policy of the page forbids is one too.
  window.on('request', (request) => requests.push(request.url()));
  window.on('console', (message) => complaints.push(message.text()));
  window.on('pageerror', (error) => complaints.push(String(error)));
  window.on('dialog', (dialog) => {
    dialogs.push(dialog.message());
    return dialog.dismiss();
  });
  await window.goto(url, { waitUntil: 'load' });
  const seen = await window.evaluate(read);
  await window.close();
  return { ...seen, requests: requests.filter((asked) => asked !== url), dialogs, complaints };
}

const browser = await chromium.launch({ executablePath, args: FLAGS, timeout: MAX_MILLISECONDS });
try {
  const shown = [];
  for (const page of pages) shown.push(await show(browser, page));
  console.log(JSON.stringify(shown));
} finally {
  await browser.close();
}
