/** The few drawings of the console. All are decoration: the words beside them, or the button's label, carry the meaning. */
import type { ReactNode } from "react";

function Icon({ children, size = 18 }: { readonly children: ReactNode; readonly size?: number }) {
  return (
    <svg className="icon" width={size} height={size} viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.8" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
      {children}
    </svg>
  );
}

export function Logo({ size = 26 }: { readonly size?: number }) {
  return (
    <svg className="logo" width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <path d="M9 13V8.5a7 7 0 0 1 14 0V13" fill="none" stroke="currentColor" strokeWidth="2.2" strokeLinecap="round" />
      <rect x="5" y="9.5" width="22" height="6.2" rx="2.4" fill="currentColor" />
      <rect x="5" y="16.9" width="22" height="5.6" rx="1.8" fill="currentColor" opacity="0.72" />
      <rect x="5" y="23.7" width="22" height="5.8" rx="2.4" fill="currentColor" />
    </svg>
  );
}

export const CheckIcon = () => <Icon size={16}><path d="M5 12.5l4.5 4.5L19 7.5" strokeWidth="2.4" /></Icon>;
export const CrossIcon = () => <Icon size={16}><path d="M6.5 6.5l11 11M17.5 6.5l-11 11" strokeWidth="2.4" /></Icon>;
export const DashIcon = () => <Icon size={16}><path d="M6 12h12" strokeWidth="2.4" /></Icon>;
export const CloseIcon = () => <Icon><path d="M6 6l12 12M18 6L6 18" /></Icon>;
export const MenuIcon = () => <Icon><path d="M4 7h16M4 12h16M4 17h16" /></Icon>;
export const SendIcon = () => <Icon><path d="M12 19V5M6 11l6-6 6 6" strokeWidth="2.2" /></Icon>;
export const StopIcon = () => <Icon><rect x="7" y="7" width="10" height="10" rx="1.5" fill="currentColor" /></Icon>;
export const BackIcon = () => <Icon><path d="M15 5l-7 7 7 7" /></Icon>;
export const NextIcon = () => <Icon><path d="M9 5l7 7-7 7" /></Icon>;
export const CopyIcon = () => <Icon size={16}><rect x="9" y="9" width="11" height="11" rx="2" /><path d="M5 15V6a2 2 0 0 1 2-2h8" /></Icon>;
export const DownloadIcon = () => <Icon size={16}><path d="M12 4v11M7 11l5 5 5-5M5 20h14" /></Icon>;
export const SealIcon = () => <Icon size={16}><path d="M12 3l7 3v5c0 4.6-2.9 8.1-7 10-4.1-1.9-7-5.4-7-10V6z" /><path d="M9 12l2.2 2.2L15.2 10" /></Icon>;
export const DocumentIcon = () => <Icon size={16}><path d="M7 3h7l5 5v13H7zM14 3v5h5M10 13h6M10 17h6" /></Icon>;
export const ThemeIcon = () => <Icon><circle cx="12" cy="12" r="8" /><path d="M12 4a8 8 0 0 1 0 16z" fill="currentColor" /></Icon>;
export const ExitIcon = () => <Icon><path d="M14 4h5v16h-5M10 8l-4 4 4 4M6 12h9" /></Icon>;
export const AlertIcon = () => <Icon><path d="M12 4l9 16H3zM12 10v4M12 17v.01" /></Icon>;
export const SearchIcon = () => <Icon size={16}><circle cx="11" cy="11" r="6" /><path d="M20 20l-4.5-4.5" /></Icon>;
export const RetryIcon = () => <Icon size={16}><path d="M19 12a7 7 0 1 1-2.2-5.1L19 9M19 4v5h-5" /></Icon>;
