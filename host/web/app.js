"use strict";
// Additions only: every page works without this file. Nothing here holds state that the server needs, and nothing is
// loaded from anywhere but this server.
(() => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone) {
    const had = document.cookie.split("; ").some((pair) => pair.startsWith("patrol-zone="));
    document.cookie = `patrol-zone=${encodeURIComponent(zone)}; Path=/ui; SameSite=Lax; Max-Age=31536000`;
    const has = document.cookie.split("; ").some((pair) => pair.startsWith("patrol-zone="));
    // The first page was made in UTC. Not while a form is filled in, and never the answer to one.
    if (!had && has && zone !== "UTC" && document.querySelector("main time") && !document.querySelector("main form, .secret")) {
      location.reload();
    }
  }

  // ---- The secret: seen once, and not left behind.

  const shown = () => document.querySelector("textarea.secret");
  let copied = false;
  // Set where somebody has said that they leave, so that they are not asked twice.
  let leaving = false;

  const asksToLeave = () => Boolean(shown()) && shown().value !== "" && !copied && !leaving;
  const mayLeave = () => {
    if (!asksToLeave()) return true;
    const box = document.querySelector("[data-leave]");
    leaving = window.confirm(box ? box.dataset.leave : "");
    return leaving;
  };
  const wipe = () => {
    const secret = shown();
    if (!secret) return;
    secret.value = "";
    secret.textContent = "";
    secret.remove();
  };

  window.addEventListener("beforeunload", (event) => {
    if (asksToLeave()) {
      event.preventDefault();
      event.returnValue = "";
    }
  });
  // Whatever keeps the page for the back button keeps it without the secret.
  window.addEventListener("pagehide", wipe);
  window.addEventListener("pageshow", (event) => {
    for (const form of document.querySelectorAll("form[aria-busy]")) idle(form);
    if (!event.persisted) return;
    wipe();
    if (document.querySelector("[data-secret-dialog]")) location.replace("/ui/tokens");
  });

  const copy = async (button) => {
    const secret = document.getElementById(button.dataset.copy);
    const status = button.closest(".dialog, main").querySelector("[data-copy-status]");
    let done = false;
    try {
      await navigator.clipboard.writeText(secret.value);
      done = true;
    } catch {
      secret.focus();
      secret.select();
      try {
        done = document.execCommand("copy");
      } catch {
        done = false;
      }
    }
    if (done) copied = true;
    if (status) status.textContent = done ? button.dataset.copied : button.dataset.notCopied;
  };
  // Copied by hand counts.
  document.addEventListener("copy", (event) => {
    if (event.target === shown()) copied = true;
  });

  // ---- Forms: once at a time.

  const buttons = (form) => form.querySelectorAll("button:not([type=button]), input[type=submit]");
  const busy = (form) => {
    form.setAttribute("aria-busy", "true");
    // After the form is read, which leaves out what is disabled.
    setTimeout(() => {
      if (form.hasAttribute("aria-busy")) for (const button of buttons(form)) button.disabled = true;
    });
  };
  function idle(form) {
    form.removeAttribute("aria-busy");
    for (const button of buttons(form)) button.disabled = false;
  }

  // ---- Dialogs: pages of their own, shown over this one.

  // What had the focus before a dialog took it.
  const openers = new WeakMap();

  // Makes the parts of a page ready that only work with scripts.
  const enhance = (root) => {
    for (const button of root.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
  };

  const focusIn = (box) => {
    const target =
      box.querySelector("[aria-invalid=true]") ||
      box.querySelector("[data-copy]") ||
      box.querySelector("[autofocus]") ||
      box.querySelector("h1, h2");
    if (target) target.focus();
  };

  const put = (dialog, box) => {
    dialog.replaceChildren(document.adoptNode(box));
    const heading = dialog.querySelector("h1, h2");
    if (heading) {
      heading.id = heading.id || "dialog-heading";
      dialog.setAttribute("aria-labelledby", heading.id);
    }
    copied = false;
    leaving = false;
    enhance(dialog);
    focusIn(dialog);
  };

  // The part of an answer that a dialog shows; none where the whole page is meant.
  const read = async (response) => {
    if (!(response.headers.get("content-type") || "").startsWith("text/html")) return null;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    return page.querySelector(".dialog");
  };

  const close = (dialog) => {
    if (!mayLeave()) return;
    const done = dialog.querySelector("[data-done]");
    wipe();
    dialog.remove();
    if (done) {
      // Something was changed: what lies below the dialog is not as it was. Not by loading it again, which could send
      // a form again.
      location.assign(done.href);
    } else if (openers.get(dialog)?.isConnected) {
      openers.get(dialog).focus();
    }
  };

  const open = async (link) => {
    if (link.hasAttribute("aria-busy")) return;
    link.setAttribute("aria-busy", "true");
    try {
      const response = await fetch(link.href, { credentials: "same-origin", cache: "no-store" });
      const box = response.redirected ? null : await read(response);
      if (!box) {
        location.assign(response.redirected ? response.url : link.href);
        return;
      }
      const inside = link.closest("dialog");
      if (inside) {
        put(inside, box);
        return;
      }
      const dialog = document.createElement("dialog");
      dialog.className = "over";
      openers.set(dialog, link);
      document.body.append(dialog);
      dialog.addEventListener("cancel", (event) => {
        event.preventDefault();
        close(dialog);
      });
      // Browsers let the second one through whatever is said, so the key itself is taken; and what is closed all the
      // same, by a phone's back button, is opened again while the secret is not copied.
      dialog.addEventListener("keydown", (event) => {
        if (event.key !== "Escape" || event.defaultPrevented) return;
        event.preventDefault();
        close(dialog);
      });
      dialog.addEventListener("close", () => {
        if (!dialog.isConnected) return;
        if (asksToLeave()) dialog.showModal();
        else close(dialog);
      });
      dialog.showModal();
      put(dialog, box);
    } catch {
      // The plain page says better what is wrong.
      location.assign(link.href);
    } finally {
      link.removeAttribute("aria-busy");
    }
  };

  const send = async (form, submitter, dialog) => {
    const body = new URLSearchParams(new FormData(form, submitter));
    busy(form);
    try {
      const response = await fetch(form.action, {
        method: "POST",
        body,
        credentials: "same-origin",
        cache: "no-store",
      });
      if (response.redirected) {
        location.assign(response.url);
        return;
      }
      const box = await read(response.clone());
      if (box) {
        put(dialog, box);
        return;
      }
      // An answer that is a page: its message, in the dialog. To send the form again could do its work twice.
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const main = page.querySelector("main .card");
      if (main) {
        const said = document.createElement("div");
        said.className = "dialog";
        said.append(...main.childNodes);
        put(dialog, said);
      } else {
        idle(form);
      }
    } catch {
      // Whether it arrived is not known. The form has its own name for that, so sending it again is safe.
      idle(form);
      form.dataset.plain = "";
      form.requestSubmit(submitter || undefined);
    }
  };

  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const target = event.target instanceof Element ? event.target : null;
    const hit = target && target.closest("a[data-dialog], a[data-close], a[data-done], [data-copy]");
    if (!hit) {
      // Beside the dialog.
      if (target instanceof HTMLDialogElement && target.classList.contains("over") && !target.querySelector(".secret")) {
        const box = target.getBoundingClientRect();
        const inside =
          event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
        if (!inside && !target.querySelector("form[aria-busy]")) close(target);
      }
      return;
    }
    if (hit.hasAttribute("data-copy")) {
      event.preventDefault();
      copy(hit);
      return;
    }
    const dialog = hit.closest("dialog.over");
    if (hit.hasAttribute("data-close")) {
      if (!dialog) return;
      event.preventDefault();
      close(dialog);
      return;
    }
    if (hit.hasAttribute("data-done")) {
      if (!mayLeave()) {
        event.preventDefault();
        return;
      }
      if (dialog) {
        event.preventDefault();
        close(dialog);
      }
      return;
    }
    if (typeof HTMLDialogElement !== "function") return;
    event.preventDefault();
    open(hit);
  });

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || form.method !== "post") return;
    if (form.hasAttribute("aria-busy")) {
      event.preventDefault();
      return;
    }
    const dialog = form.closest("dialog.over");
    if (dialog && !("plain" in form.dataset)) {
      event.preventDefault();
      send(form, event.submitter, dialog);
      return;
    }
    busy(form);
    // A download leaves the page where it is.
    if (form.hasAttribute("data-download")) setTimeout(() => idle(form), 2000);
  });

  // ---- Dates: a lifetime that is chosen fills in the day, and a day that is chosen is the lifetime.

  document.addEventListener("change", (event) => {
    const field = event.target;
    if (!(field instanceof HTMLInputElement) || !field.form) return;
    if (field.name === "lifetime") {
      const date = field.form.querySelector("input[name=expires]");
      const day = field.dataset.day;
      if (date && day) date.value = day;
    } else if (field.name === "expires" && field.type === "date") {
      const choice = field.form.querySelector("input[name=lifetime][value=date]");
      if (choice) choice.checked = true;
    }
  });

  // ---- Lists: one box that checks all others of its form.

  document.addEventListener("change", (event) => {
    const field = event.target;
    if (!(field instanceof HTMLInputElement) || field.type !== "checkbox") return;
    const table = field.closest("table, form");
    if (!table) return;
    const all = table.querySelector("input[data-check-all]");
    if (!all) return;
    const others = [...table.querySelectorAll("tbody input[type=checkbox]")].filter((box) => box !== all);
    if (field === all) for (const box of others) box.checked = all.checked;
    const checked = others.filter((box) => box.checked).length;
    all.checked = checked > 0 && checked === others.length;
    all.indeterminate = checked > 0 && checked < others.length;
  });

  enhance(document);
  const secret = shown();
  if (secret) {
    // To load this page again, or to come back to it, is to see the list: there is no form to be sent again.
    history.replaceState(null, "", "/ui/tokens");
    const button = document.querySelector("[data-copy]");
    if (button) button.focus();
  }
})();
