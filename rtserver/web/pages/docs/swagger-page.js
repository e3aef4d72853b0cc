// Swagger UI over this server's own document. Nothing is asked of another host: no validator, no web fonts.

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

window.viewer = SwaggerUIBundle({
  url: new URL("openapi.json", document.baseURI).href,
  dom_id: "#viewer",
  deepLinking: true,
  displayRequestDuration: true,
  filter: true,
  persistAuthorization: false,
  showExtensions: false,
  tryItOutEnabled: true,
  validatorUrl: null,
  withCredentials: false,
});
