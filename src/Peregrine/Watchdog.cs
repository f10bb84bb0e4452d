// Notices a call-back that holds the core and names it while it still does: a timer off the core looks whether the core's turns go on.
// Costs the core one store a call-back.
using Microsoft.Extensions.Logging;

namespace Peregrine;

internal sealed class Watchdog : IDisposable
{
    private readonly CoreEngine _engine;
    private readonly ILogger _logger;
    private readonly long _limitMs;
    private readonly Timer _timer;
    private long _turn = -1;
    private long _since;
    private bool _told;

    internal Watchdog(CoreEngine engine, ILogger logger, int limitMs)
    {
        (_engine, _logger, _limitMs) = (engine, logger, limitMs);
        var period = Math.Max(1, limitMs / 2);
        _timer = new Timer(static w => ((Watchdog)w!).Look(), this, period, period);
    }

    public void Dispose() => _timer.Dispose();

    private void Look()
    {
        // One at a time: a late timer may overlap with the next.
        if (!Monitor.TryEnter(_timer)) return;
        try
        {
            var (turn, running, now) = (_engine.TurnCount, _engine.Running, Environment.TickCount64);
            if (turn != _turn || running == null)
            {
                (_turn, _since, _told) = (turn, now, false);
                return;
            }
            if (_told || now - _since < _limitMs) return;
            _told = true;
            Interlocked.Increment(ref _engine.Counters.CallbacksTooLong);
            HostLog.CallbackTooLong(_logger, CallbackName.Of(running), now - _since, _limitMs);
        }
        finally
        {
            Monitor.Exit(_timer);
        }
    }
}
