const look = () => {
  const now = Date.now() / 1000;
  for (const part of document.querySelectorAll("[data-from]")) // a moment that cannot be read hides nothing
    part.hidden = now < part.dataset.from || now >= part.dataset.until;
  document.title = document.querySelector("[data-title]:not([hidden])")?.dataset.title ?? document.title;
};
look();
setInterval(look, 60000);
addEventListener("pageshow", look);
document.addEventListener("visibilitychange", look);
