/** The beginning: the one element, and what every screen stands on. */
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { queries } from "./lib/query";
import { router } from "./router";
import "./styles.css";

const element = document.getElementById("root");
if (element === null) throw new Error("index.html has no element #root");
createRoot(element).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <RouterProvider router={router} />
    </QueryClientProvider>
  </StrictMode>,
);
