/* The curves: a chart a game, of one quantity against one axis. */
'use strict';
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const COLORS = 8, HEIGHT = 260;
  const DASHES = [[], [6, 4], [2, 3]];  // Where colors are used again.
  const find = (id) => document.getElementById(id);
  const hidden = new Set();  // Numbers of contenders.
  let charts = [];

  const css = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const color = (number) => css(`--c${number % COLORS}`);
  const axisName = () =>
    document.querySelector('input[name=axis]:checked').value;
  const text = (value) => value == null ? '–' :
    Number(value.toPrecision(4)).toString();

  function series(number, width, show) {
    return {
      label: data.titles[number], stroke: color(number), width,
      dash: DASHES[Math.floor(number / COLORS) % DASHES.length],
      points: {show: false}, show,
    };
  }

  /* Published points of a game; only of the return against frames. */
  function published(quantity, game) {
    const is = quantity.name === 'mean_return_100' && axisName() === 'frames';
    return (is && data.published[game]) || [];
  }

  function drawPublished(points) {
    return (plot) => {
      const context = plot.ctx, ratio = devicePixelRatio;
      context.save();
      context.lineWidth = 2 * ratio;
      for (const point of points) {
        if (point.x > plot.scales.x.max || hidden.has(point.number)) continue;
        const x = plot.valToPos(point.x, 'x', true);
        const at = (value) => plot.valToPos(value, 'y', true);
        context.strokeStyle =
          point.number == null ? css('--soft') : color(point.number);
        context.beginPath();
        if (point.spread) {
          context.moveTo(x, at(point.y - point.spread));
          context.lineTo(x, at(point.y + point.spread));
        }
        const y = at(point.y), size = 5 * ratio;
        context.moveTo(x, y - size);
        for (const [dx, dy] of [[size, 0], [0, size], [-size, 0], [0, -size]]) {
          context.lineTo(x + dx, y + dy);
        }
        context.stroke();
      }
      context.restore();
    };
  }

  /* The values under the pointer, in a box beside it. */
  function pointer(chart, unit, numbers) {
    const box = document.createElement('div');
    box.className = 'pointer';
    chart.append(box);
    return (plot) => {
      const {left, top, idx} = plot.cursor;
      box.style.display = idx == null || left < 0 ? 'none' : 'block';
      if (idx == null || left < 0) return;
      box.replaceChildren();
      const head = document.createElement('b');
      head.textContent = `${text(plot.data[0][idx])} ${unit}`;
      box.append(head);
      numbers.forEach((number, place) => {
        const [mean, low, high] = [1, 2, 3].map(
          (part) => plot.data[3 * place + part][idx]);
        if (hidden.has(number) || mean == null) return;
        const line = document.createElement('div');
        const dot = document.createElement('i');
        dot.style.background = color(number);
        const interval = low == null ? '' : ` [${text(low)}, ${text(high)}]`;
        line.append(dot, `${data.titles[number]}: ${text(mean)}${interval}`);
        box.append(line);
      });
      const over = plot.over, right = left > over.clientWidth / 2;
      const x = over.offsetLeft + left;
      const beside = right ? x - box.offsetWidth - 12 : x + 12;
      const most = chart.clientWidth - box.offsetWidth;
      box.style.left = `${Math.max(0, Math.min(beside, most))}px`;
      const lowest = chart.clientHeight - box.offsetHeight;
      const y = plot.root.offsetTop + top + 12;
      box.style.top = `${Math.max(0, Math.min(y, lowest))}px`;
    };
  }

  function options(chart, quantity, game, made, width) {
    const numbers = Object.keys(made.series).map(Number);
    const unit = data.axes.find((axis) => axis.name === axisName()).unit;
    const points = published(quantity, game);
    const axis = {
      stroke: css('--soft'), font: '12px system-ui, sans-serif',
      grid: {stroke: css('--line'), width: 1}, ticks: {show: false},
    };
    const lines = [{}], bands = [];
    numbers.forEach((number, place) => {
      const show = !hidden.has(number);
      lines.push(series(number, 2, show), series(number, 0, show),
                 series(number, 0, show));
      bands.push({series: [3 * place + 3, 3 * place + 2],
                  fill: `${color(number)}2e`});
    });
    const range = (plot, low, high) => {
      const shown = points.filter(
        (point) => point.x <= plot.scales.x.max && !hidden.has(point.number));
      const ys = shown.flatMap(
        (point) => [point.y - point.spread, point.y + point.spread]);
      return uPlot.rangeNum(Math.min(low, ...ys), Math.max(high, ...ys),
                            0.1, false);
    };
    return {
      width, height: HEIGHT, series: lines, bands,
      legend: {show: false},
      cursor: {drag: {x: true, y: false}, points: {size: 6}},
      scales: {x: {time: false}, y: {range}},
      axes: [{...axis, size: 28, label: unit, labelSize: 18, labelGap: 0,
              labelFont: axis.font},
             {...axis, size: 52}],
      hooks: {
        draw: [drawPublished(points)],
        setCursor: [pointer(chart, unit, numbers)],
      },
    };
  }

  function draw() {
    charts.forEach(({plot}) => plot.destroy());
    charts = [];
    find('charts').replaceChildren();
    const quantity = data.quantities[find('quantity').value];
    // All places first: how wide one is depends on how many there are.
    const places = Object.entries(quantity.games).map(([game, axes]) => {
      const chart = document.createElement('div');
      chart.className = 'chart';
      const head = document.createElement('h3');
      head.textContent = game;
      chart.append(head);
      find('charts').append(chart);
      return [chart, game, axes[axisName()]];
    });
    for (const [chart, game, made] of places) {
      if (!made) {
        chart.append('These runs did not log it.');
        continue;
      }
      const columns = Object.values(made.series).flat();
      const plot = new uPlot(
        options(chart, quantity, game, made, chart.clientWidth),
        [made.x, ...columns], chart);
      charts.push({chart, plot});
    }
  }

  data.titles.forEach((title, number) => {
    const chip = document.createElement('button');
    chip.className = 'chip';
    chip.type = 'button';
    chip.textContent = title;
    chip.style.setProperty('--chip', `var(--c${number % COLORS})`);
    chip.setAttribute('aria-pressed', 'true');
    chip.addEventListener('click', () => {
      hidden.has(number) ? hidden.delete(number) : hidden.add(number);
      chip.setAttribute('aria-pressed', String(!hidden.has(number)));
      draw();
    });
    find('chips').append(chip);
  });
  find('quantity').addEventListener('change', draw);
  document.querySelectorAll('input[name=axis]').forEach(
    (input) => input.addEventListener('change', draw));
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
  new ResizeObserver(() => charts.forEach(({chart, plot}) => {
    if (plot.width !== chart.clientWidth) {
      plot.setSize({width: chart.clientWidth, height: HEIGHT});
    }
  })).observe(find('charts'));
  draw();
})();
