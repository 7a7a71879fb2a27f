// The page learns over a WebSocket what has changed: style sheets are exchanged, for anything else it loads itself anew.
(() => {
  "use strict";
  if (window.__wirebird__) return;
  window.__wirebird__ = true;
  const own = new URL(document.currentScript.src);
  const place = new URL("live", own);
  place.protocol = own.protocol === "https:" ? "wss:" : "ws:";
  place.search = "";
  let process = own.searchParams.get("of");
  let pause = 100;

  const coming = new Map();  // style sheets on their way: what each replaces
  const nameOf = (path) => decodeURIComponent(path.split("/").pop());

  function drop(link) {
    coming.delete(link);
    link.remove();
  }

  function exchange(paths) {
    const names = new Set(paths.map((path) => path.split(/[\\/]/).pop()));
    const links = [...document.querySelectorAll('link[rel~="stylesheet"][href]')].filter(
      (link) => new URL(link.href).origin === location.origin && !coming.has(link),
    );
    const meant = links.filter((link) => names.has(nameOf(new URL(link.href).pathname)));
    for (const old of meant.length ? meant : links) {  // none of that name: it is imported by another
      const fresh = old.cloneNode();
      const href = new URL(old.href);
      href.searchParams.set("wirebird", Date.now());
      fresh.href = href;
      for (const [late, replaced] of coming) {
        if (replaced === old) drop(late);
      }
      coming.set(fresh, old);
      fresh.addEventListener("load", () => {
        if (coming.delete(fresh)) old.remove();
      });
      fresh.addEventListener("error", () => drop(fresh));
      old.after(fresh);
    }
  }

  function connect() {
    const socket = new WebSocket(place);
    socket.addEventListener("message", (event) => {
      const said = JSON.parse(event.data);
      if (said.hello) {
        pause = 100;
        if (process !== null && process !== said.hello) location.reload();
        process = said.hello;
      } else if (said.reload) {
        location.reload();
      } else if (said.css) {
        exchange(said.css);
      }
    });
    socket.addEventListener("close", () => {
      setTimeout(connect, pause);
      pause = Math.min(2 * pause, 2000);
    });
  }

  connect();
})();
