"use strict";

// The address is relative to the page, so a proxy's prefix does not matter.
SwaggerUIBundle({ url: "openapi.json", dom_id: "#swagger-ui", validatorUrl: null });
