import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App, Guard } from "./views/app.tsx";
import "./styles/tokens.css";
import "./styles/frame.css";
import "./styles/answer.css";
import "./styles/pane.css";
import "./styles/receipt.css";

const root = document.getElementById("root");
if (root === null) throw new Error("index.html lacks #root");
createRoot(root).render(<StrictMode><Guard><App /></Guard></StrictMode>);
