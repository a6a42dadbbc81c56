/* The theme that was chosen on this device; src/lib/theme.ts keeps it. */
(function () {
  try {
    var theme = localStorage.getItem("troupe.theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch (error) {
    console.info("No storage here: the theme follows the system.", error);
  }
})();
