// The page of GET /docs. Everything comes from this server, and requests that are tried go to it alone.
"use strict";

const theme = {
  system: window.matchMedia("(prefers-color-scheme: dark)"),
  chosen: null,
  apply() {
    const isDark = this.chosen ?? this.system.matches;
    document.documentElement.classList.toggle("dark-mode", isDark);
    document.documentElement.style.colorScheme = isDark ? "dark" : "light";
  },
};
theme.apply();
theme.system.addEventListener("change", () => theme.apply());
document.getElementById("theme").addEventListener("click", () => {
  theme.chosen = !(theme.chosen ?? theme.system.matches);
  theme.apply();
});

// The scope that an operation needs stands beside its summary; the specification has it as x-required-scope.
const ShowScope = () => ({
  wrapComponents: {
    OperationSummaryPath: (Original, system) => (props) => {
      const { operationProps: at } = props;
      const scope = system.specSelectors.specJson().getIn(["paths", at.get("path"), at.get("method"), "x-required-scope"]);
      const original = system.React.createElement(Original, props);
      if (!scope) return original;
      const badge = system.React.createElement("span", { className: "scope", title: "The scope that the key needs" }, scope);
      return system.React.createElement(system.React.Fragment, null, original, badge);
    },
  },
});

window.ui = SwaggerUIBundle({
  url: new URL("openapi.yaml", document.baseURI).href,
  domNode: document.getElementById("viewer"),
  plugins: [ShowScope],
  deepLinking: true,
  filter: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  showCommonExtensions: true,
  // A key that was typed in is forgotten with the page.
  persistAuthorization: false,
  // No badge of a service elsewhere.
  validatorUrl: null,
  tryItOutEnabled: false,
});
