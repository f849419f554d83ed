// Keeps a page up to date without a reload: the same page is asked for again, and its main part put in place of the old.
// Somebody who writes into a form, or has marked text, is not disturbed. Without this script a reload does the same.
"use strict";
const EVERY = 2000;

async function look() {
  const main = document.querySelector("main[data-live]");
  const busy = main && (main.querySelector("details[open]") || main.contains(document.activeElement) && document.activeElement !== main || String(getSelection()));
  const written = main && [...main.querySelectorAll("input:not([type=hidden])")].some((input) => input.value !== input.defaultValue);
  if (main && !busy && !written && !document.hidden) {
    try {
      const answer = await fetch(location.href, { credentials: "same-origin", redirect: "manual" });
      if (answer.ok) {
        const found = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
        const still = document.querySelector("main[data-live]");
        if (found && still && !still.contains(document.activeElement) && found.innerHTML !== still.innerHTML) {
          const places = [...still.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
          still.replaceWith(found);
          [...found.querySelectorAll(".scroll")].forEach((one, index) => { one.scrollLeft = places[index] || 0; });
        }
      }
    } catch (error) {
      // The server is away; the next look tries again.
    }
  }
  setTimeout(look, EVERY);
}

setTimeout(look, EVERY);
