/** Line icons on a 20 px grid, drawn here so that nothing is fetched. */
const paths = {
  download: "M10 3v9m0 0 3.500-3.500M10 12 6.500 8.500M4 16h12",
  edit: "M4 16h3L15.500 7.500l-3-3L4 13v3Zm7-10 3 3",
  close: "m5 5 10 10M15 5 5 15",
  minus: "M4 10h12",
  plus: "M10 4v12M4 10h12",
  retry: "M15.500 9A5.800 5.800 0 1 0 14.500 13M15.800 4.500V9h-4.500",
  trash: "M4 6h12M8 6V4h4v2m-6.500 0 .700 10h7.600l.700-10",
  sun: "M10 13.500a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7ZM10 2v2m0 12v2M2 10h2m12 0h2M4.500 4.500 6 6m8 8 1.500 1.500m0-11L14 6M6 14l-1.500 1.500",
  moon: "M16 12A6.500 6.500 0 0 1 8 4a6.500 6.500 0 1 0 8 8Z",
  help: "M7.500 7.500a2.500 2.500 0 1 1 3.700 2.200c-.800.450-1.200.900-1.200 1.800M10 14.500v.100",
  settings: "M3 6h7m4 0h3M3 14h3m4 0h7M12 8a2 2 0 1 0 0-4 2 2 0 0 0 0 4Zm-4 8a2 2 0 1 0 0-4 2 2 0 0 0 0 4Z",
  image: "M3 4.500h14v11H3zM3 13l4-4 4 4 2-2 4 4M13 8v.100",
  chip: "M6 6h8v8H6zM8 3v3m4-3v3M8 14v3m4-3v3M3 8h3m-3 4h3m8-4h3m-3 4h3",
  search: "M9 14.500a5.500 5.500 0 1 0 0-11 5.500 5.500 0 0 0 0 11Zm4-1.500 4 4",
  warn: "M10 3 2.500 16.500h15L10 3Zm0 5v4m0 2.200v.100",
  info: "M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14Zm0-7.500V14m0-7.200v.100",
  left: "m12 5-5 5 5 5",
  again: "M4 8h9a3.500 3.500 0 0 1 0 7H8M4 8l3.500-3.500M4 8l3.500 3.500",
  brush: "M4 16c2.500.500 4-.500 4-2.500l1-1m0 0L16 5l-1-1-7.500 7M9 12.500 7.500 11",
  crop: "M6 2v12h12M2 6h12v12",
  copy: "M7 7h9v9H7zM13 7V4H4v9h3",
  stop: "M6 6h8v8H6z",
  star: "m10 3 2.100 4.500 4.900.600-3.600 3.400.900 4.900L10 14l-4.300 2.400.900-4.900L3 8.100l4.900-.600L10 3Z",
  starred: "m10 3 2.100 4.500 4.900.600-3.600 3.400.900 4.900L10 14l-4.300 2.400.900-4.900L3 8.100l4.900-.600L10 3Z",
  up: "m5 12 5-5 5 5",
  down: "m5 8 5 5 5-5",
  first: "M5 4.500h10M5.500 13 10 8.500l4.500 4.500M10 8.500V17",
  undo: "M7.500 4 4 7.500 7.500 11M4 7.500h7.500a4 4 0 0 1 0 8H8",
  redo: "M12.500 4 16 7.500 12.500 11M16 7.500H8.500a4 4 0 0 0 0 8H12",
  tree: "M6 4v9a2 2 0 0 0 2 2h5M6 8h7m0 0a1.500 1.500 0 1 0 3 0 1.500 1.500 0 0 0-3 0Zm0 7a1.500 1.500 0 1 0 3 0 1.500 1.500 0 0 0-3 0Z",
  clock: "M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14Zm0-11v4l2.500 2.500",
  bell: "M5 14h10l-1.200-2V9a3.800 3.800 0 0 0-7.600 0v3L5 14Zm3.500 0a1.500 1.500 0 0 0 3 0",
  more: "M5 10h.100M10 10h.100M15 10h.100",
  lock: "M5.500 9h9v7h-9zM7.500 9V6.500a2.500 2.500 0 0 1 5 0V9",
  dice: "M4 4h12v12H4zM7.500 7.500v.100M12.500 12.500v.100M10 10v.100M12.500 7.500v.100M7.500 12.500v.100",
} as const

export type IconName = keyof typeof paths

export function Icon({ name, className = "" }: { name: IconName; className?: string }) {
  const size = /\bsize-/.test(className) ? "" : "size-4"
  return (
    <svg viewBox="0 0 20 20" className={`shrink-0 ${size} ${className}`} fill={name === "starred" ? "currentColor" : "none"} stroke="currentColor" strokeWidth="1.500"
      strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
      <path d={paths[name]} />
    </svg>
  )
}
