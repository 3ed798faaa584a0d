// pm2: `pm2 start ecosystem.config.js`, then `pm2 save` and `pm2 startup` to survive a reboot.
// Arguments of the bot: NOVOSKY_ARGS="--paper" pm2 start ecosystem.config.js
// Secrets do not belong here: the bot reads them from the environment or from .env beside trading.py.
const path = require("path");

const windows = process.platform === "win32";
const python = path.join(__dirname, ".venv", windows ? "Scripts" : "bin", windows ? "python.exe" : "python");

module.exports = {
  apps: [
    {
      name: "novosky",
      cwd: __dirname,
      script: "trading.py",
      args: process.env.NOVOSKY_ARGS || "",
      interpreter: python,
      interpreter_args: "-u",
      exec_mode: "fork",
      instances: 1,
      watch: false,
      autorestart: true,
      // The delay begins here, grows by half with every restart up to 15 s, and falls back once the bot stays up.
      exp_backoff_restart_delay: 1000,
      // A broker that is away for a weekend must not end the restarts.
      max_restarts: 1000000,
      // No restart mends these: arguments 2, settings 3, bars 4, models 5 and 6, a second bot 9.
      // pm2 then shows "waiting restart" but does not restart; `pm2 logs novosky` has the reason.
      stop_exit_codes: [2, 3, 4, 5, 6, 9],
      // Ctrl-C's signal first; after this many milliseconds the process is killed, which loses nothing either.
      kill_timeout: 30000,
      max_memory_restart: "500M",
      out_file: path.join(__dirname, "logs", "novosky.out.log"),
      error_file: path.join(__dirname, "logs", "novosky.err.log"),
      merge_logs: true,
      time: true,
      env: { PYTHONUTF8: "1" },
    },
  ],
};
