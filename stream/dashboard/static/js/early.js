// Before the first paint: the colours that were chosen, and whether this is a wall screen. A classic script,
// because modules run after it.
(function () {
  var root = document.documentElement;
  try {
    var theme = localStorage.getItem("latido-theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  } catch (refused) {
    // Storage may be closed to us: then the system's colours hold.
  }
  if (new URLSearchParams(location.search).get("wall") === "1") root.classList.add("wall");
})();
