// Comfort only; every page works without it. A changed select applies at once, and empty fields stay out of the address.
"use strict";

for (const form of document.querySelectorAll("form[data-filters]")) {
  form.addEventListener("change", (event) => {
    if (event.target instanceof HTMLSelectElement) form.requestSubmit();
  });
  form.addEventListener("submit", () => {
    for (const field of form.elements) {
      const idle = field.value === "" || (field.name === "tz" && field.value === "UTC");
      if (field.name && idle) field.disabled = true;
    }
  });
}

// The browser's back button shows a page as it was left: with its fields still disabled.
window.addEventListener("pageshow", () => {
  for (const field of document.querySelectorAll("form[data-filters] :disabled")) field.disabled = false;
});

// What a link points at inside a closed section is opened.
function reveal() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) target.open = true;
}
window.addEventListener("hashchange", reveal);
reveal();
