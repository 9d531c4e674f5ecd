/** A modal sheet at a side of the window. The native dialog traps focus, answers Escape and gives the focus back when it closes. */
import { useLayoutEffect, useRef, type ReactNode } from "react";

interface Props {
  readonly label: string;
  readonly side: "left" | "right";
  readonly className?: string;
  readonly onClose: () => void;
  readonly children: ReactNode;
}

export function Drawer({ label, side, className = "", onClose, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const element = dialog.current;
    element?.showModal();
    return () => element?.close(); // before it leaves the page, or the focus would be lost
  }, []);
  return (
    <dialog
      ref={dialog}
      className={`drawer ${side} ${className}`}
      aria-label={label}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (event.target === dialog.current) onClose();
      }}
    >
      <div className="drawer-body">{children}</div>
    </dialog>
  );
}
