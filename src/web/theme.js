// A classic script in <head> runs before the first paint, so the page never flashes in the wrong colours.
(() => {
  const root = document.documentElement;
  const key = 'tandem.theme';
  let chosen = null;
  try {
    chosen = localStorage.getItem(key);
  } catch {
    // Without storage the choice of the system applies.
  }
  if (chosen === 'light' || chosen === 'dark') root.dataset.theme = chosen;

  const isDark = () =>
    root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;

  document.addEventListener('click', (event) => {
    if (!event.target.closest?.('[data-action="theme"]')) return;
    const next = isDark() ? 'light' : 'dark';
    root.dataset.theme = next;
    try {
      localStorage.setItem(key, next);
    } catch {
      // Without storage the choice lasts until the reload.
    }
  });
})();
