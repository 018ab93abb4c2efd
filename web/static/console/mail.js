// Copies the letter as it looks, where the browser can.
for (const button of document.querySelectorAll("[data-copy-rich]")) {
  if (!navigator.clipboard?.write || !window.ClipboardItem) break;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const from = document.querySelector(button.dataset.copyRich);
    const part = (text, type) => new Blob([text], { type });
    await navigator.clipboard.write([new ClipboardItem({
      "text/html": part(from.innerHTML, "text/html"), "text/plain": part(document.querySelector("#plain").textContent, "text/plain"),
    })]);
    const label = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 1600);
  });
}
