'use strict';
// Everything is on the page without this: it sorts tables and hides classes that are not asked for.
for (const table of document.querySelectorAll('table.sortable')) {
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  heads.forEach((head, column) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener('click', () => {
      const rising = head.getAttribute('aria-sort') !== 'ascending';
      heads.forEach((other) => other.removeAttribute('aria-sort'));
      head.setAttribute('aria-sort', rising ? 'ascending' : 'descending');
      const value = (row) => {
        const cell = row.cells[column];
        if (cell.dataset.v === undefined) return cell.textContent.trim();
        return cell.dataset.v === '' ? null : Number(cell.dataset.v);
      };
      const body = table.tBodies[0];
      const compare = (a, b) => {
        const [x, y] = [value(a), value(b)];
        if (x === null || y === null) return (x === null) - (y === null);
        const order = typeof x === 'number' ? x - y : x.localeCompare(y, undefined, { numeric: true });
        return rising ? order : -order;
      };
      body.append(...[...body.rows].sort(compare));
    });
  });
}
for (const filter of document.querySelectorAll('.filter')) {
  filter.hidden = false;
  const select = filter.querySelector('select');
  select.addEventListener('change', () => {
    for (const part of document.querySelectorAll('[data-class]')) {
      part.hidden = select.value !== '' && part.dataset.class !== select.value;
      if (select.value !== '' && !part.hidden) part.open = true;
    }
  });
}
