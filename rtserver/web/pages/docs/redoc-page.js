// Redoc over this server's own document, with the fonts of the system.

const FONT = getComputedStyle(document.querySelector(".rt-bar")).fontFamily;

Redoc.init(
  new URL("openapi.json", document.baseURI).href,
  {
    scrollYOffset: ".rt-bar",
    hideDownloadButton: true,
    expandResponses: "200,201",
    requiredPropsFirst: true,
    theme: {
      colors: { primary: { main: "#3d63f0" } },
      typography: { fontFamily: FONT, headings: { fontFamily: FONT }, fontSize: "14px" },
    },
  },
  document.getElementById("viewer"),
);
