// How a purchase stands, live. What is not paid is never called so: every word here follows the state that is answered.
"use strict";

const PAUSES = [1, 2]; // seconds before the second and third look; then every five
const PAUSE = 5;
const PATIENCE = 120; // seconds until the buyer need not wait here any more
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
const STEPS = { account: "Your account", hosting: "Your hosting", website: "Your website" };
const LINKS = { pay: "Pay now", site: "Your website", panel: "Control panel", again: "Begin anew" };

const session = new URLSearchParams(location.search).get("session_id") || "";
const at = (id) => document.getElementById(id);
const wait = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

function element(name, text, values) {
  return Object.assign(document.createElement(name), { textContent: text }, values);
}

function show(title, text, steps, urls) {
  document.title = at("title").textContent = title;
  at("text").textContent = text;
  at("steps").replaceChildren(...steps.map((s) => element("li", STEPS[s.name], { className: s.done ? "done" : "open" })));
  const links = Object.keys(LINKS).filter((name) => /^https?:/.test(urls[name] || ""));
  at("links").replaceChildren(...links.map((name) => element("a", LINKS[name], { className: "button", href: urls[name] })));
}

async function look() {
  const answer = await fetch(`/api/checkout?session_id=${encodeURIComponent(session)}`, {
    headers: { Accept: "application/json" },
  });
  if (answer.status === 404 || answer.status === 422) return null;
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
}

async function follow() {
  const began = Date.now();
  for (let round = 0; ; round += 1) {
    const late = Date.now() - began > PATIENCE * 1000;
    try {
      const found = await look();
      if (found === null) {
        return show("We do not know this purchase", "The address of this page is not complete, or not from here.", [], {});
      }
      const [title, text] = WORDS[found.state];
      show(title, late && WAITING.includes(found.state) && found.state !== "pending" ? LATER : text, found.steps, found.urls);
      if (late || !WAITING.includes(found.state)) return undefined;
    } catch {
      if (late) return undefined; // what was shown last still holds
    }
    await wait(round < PAUSES.length ? PAUSES[round] : PAUSE);
  }
}

follow();
