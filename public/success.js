// How a purchase stands, live. What is not paid is never called so: every word here follows the state that is answered.
"use strict";

const PAUSES = [1, 2]; // seconds before the second and third look; then every five
const PAUSE = 5;
const PATIENCE = 120; // seconds until the buyer need not wait here any more
const ANSWER = 15; // seconds until an answer counts as none
const WAITING = ["pending", "paid", "provisioning"];
const WORDS = {
  pending: ["Waiting for your payment", "Nothing has been paid yet."],
  paying: ["Your payment is under way", "Your bank takes some time for it. We write to you as soon as it is here."],
  paid: ["Thank you: your payment is here", "We are setting everything up."],
  provisioning: ["Thank you: your payment is here", "We are setting everything up."],
  ready: ["Everything is ready", "You get a mail with which you choose your password."],
  refunded: ["Your money is on its way back", "This purchase has been refunded."],
  failed: ["The payment did not work", "Nothing has been bought."],
  expired: ["This purchase has expired", "Nothing has been paid, and nothing has been bought."],
};
const LATER = "This takes longer than usual. You need not wait here: we write to you.";
const UNSEEN_YET = "We can't look at it just now, and try again. You need not wait here: we write to you when everything is ready.";
const UNSEEN = "We could not look at it. Load this page again later; you need not wait here: we write to you when everything is ready.";
const STEPS = { account: "Your account", hosting: "Your hosting", website: "Your website" };
const LINKS = { pay: "Pay now", site: "Your website", panel: "Control panel", again: "Begin anew" };

const session = new URLSearchParams(location.search).get("session_id") || "";
const written = {}; // what stands on the page, by its place
let last = null; // how the purchase stood when it was last seen
let following = false;
const at = (id) => document.getElementById(id);
const wait = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

function element(name, text, values) {
  return Object.assign(document.createElement(name), { textContent: text }, values);
}

/** Only what has changed is written: what is read aloud is said once, and a link that has the focus stays. */
function show(title, text, steps = [], urls = {}) {
  document.title = title;
  write("title", title, [title]);
  write("text", text, [text]);
  write("steps", JSON.stringify(steps), steps.map((s) => element("li", STEPS[s.name], { className: s.done ? "done" : "open" })));
  const links = Object.keys(LINKS).filter((name) => /^https?:/.test(urls[name] || ""));
  write("links", JSON.stringify(links.map((name) => urls[name])), links.map((name) => element("a", LINKS[name], { className: "button", href: urls[name] })));
}

function write(id, words, parts) {
  if (written[id] === words) return;
  written[id] = words;
  at(id).replaceChildren(...parts);
}

/** How it stands; null where nobody knows this purchase. */
async function look() {
  const life = new AbortController();
  const timer = setTimeout(() => life.abort(), ANSWER * 1000);
  try {
    const answer = await fetch(`/api/checkout?session_id=${encodeURIComponent(session)}`, {
      headers: { Accept: "application/json" },
      signal: life.signal,
    });
    if (answer.status === 404 || answer.status === 422) return null;
    if (!answer.ok) throw new Error(String(answer.status));
    const found = await answer.json();
    if (!WORDS[found.state]) throw new Error(`unknown state ${found.state}`);
    return found;
  } finally {
    clearTimeout(timer);
  }
}

/** Show what was found; while it is not, or no more, what was found before still holds. */
function tell(late) {
  if (!last) return show("Your purchase", late ? UNSEEN : UNSEEN_YET);
  const [title, text] = WORDS[last.state];
  return show(title, late && WAITING.includes(last.state) && last.state !== "pending" ? LATER : text, last.steps, last.urls);
}

async function follow() {
  if (following) return;
  following = true;
  const began = Date.now();
  for (let round = 0; following; round += 1) {
    const late = Date.now() - began > PATIENCE * 1000;
    try {
      last = await look();
      if (last === null) {
        show("We do not know this purchase", "The address of this page is not complete, or not from here.");
        return; // it can't become one
      }
    } catch (error) {
      console.info(String(error));
    }
    tell(late);
    following = !late && (!last || WAITING.includes(last.state));
    if (following) await wait(round < PAUSES.length ? PAUSES[round] : PAUSE);
  }
}

/** Who comes back to the page, from the page where one pays or from another tab, sees how it stands by then. */
function again() {
  if (!document.hidden && (!last || WAITING.includes(last.state))) follow();
}

for (const id of ["title", "text", "steps"]) at(id).setAttribute("aria-live", "polite");
document.addEventListener("visibilitychange", again);
addEventListener("pageshow", (event) => event.persisted && again());
follow();
