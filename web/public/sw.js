// Keeps the shell of the page, so that it opens while qie is away: the page itself and its hashed files, and nothing of
// the API, no picture, no other route. vite.config.ts puts the list and its hash in at the build.
const shell = "qie-shell-__HASH__"
const files = [/*__FILES__*/]

// The server answers "/" with JSON to whoever does not ask for a page.
const page = (file) => (file === "/" ? { headers: { Accept: "text/html" } } : {})

addEventListener("install", (event) => {
  // A server that wants its token answers 401 here: then there is no shell until it was given.
  event.waitUntil(caches.open(shell).then((cache) => cache.addAll(files.map((file) => new Request(file, page(file))))).then(() => skipWaiting()))
})

const old = (name) => name.startsWith("qie-shell-") && name !== shell

addEventListener("activate", (event) => {
  event.waitUntil(caches.keys().then((names) => Promise.all(names.filter(old).map((name) => caches.delete(name)))).then(() => clients.claim()))
})

addEventListener("fetch", (event) => {
  const { request } = event
  const { origin, pathname } = new URL(request.url)
  if (request.method !== "GET" || origin !== location.origin) return
  // The server's page is always the newest; the kept one is for when nobody answers.
  if (request.mode === "navigate" && pathname === "/") event.respondWith(fetch(request).catch(() => caches.match("/").then((kept) => kept ?? Response.error())))
  else if (pathname.startsWith("/assets/")) event.respondWith(caches.match(request).then((kept) => kept ?? fetch(request)))
  else if (files.includes(pathname)) event.respondWith(fetch(request).catch(() => caches.match(request).then((kept) => kept ?? Response.error())))
})
