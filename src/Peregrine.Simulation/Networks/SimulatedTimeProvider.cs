// The clock of a simulated host, or of its world, as .NET code takes it. A host's timers go by the host's clock: they drift and jump with it, and
// while the host stands still they are late.
using Peregrine.Core.Time;
using Peregrine.Simulation.Hosts;

namespace Peregrine.Simulation.Networks;

internal sealed class SimulatedTimeProvider(SimulatedWorld world, SimulatedHost? host = null) : TimeProvider
{
    // Clocks show one second when a world begins: that is the first moment of the year 2000.
    private static readonly DateTimeOffset s_utcAtZero = new DateTimeOffset(2000, 1, 1, 0, 0, 0, TimeSpan.Zero).AddSeconds(-1);

    public override long TimestampFrequency => 1_000_000_000;

    public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

    // Read without a turn: Kestrel's heartbeat asks for the time on a thread of its own, and whoever has the turn may wait for that thread to end.
    private Instant Now => host?.ShownClock ?? world.Now;

    public override DateTimeOffset GetUtcNow() => s_utcAtZero.AddTicks(GetTimestamp() / 100);

    public override long GetTimestamp() => Now.Nanoseconds;

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        ArgumentNullException.ThrowIfNull(callback);
        var timer = new Timer(this, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }

    private void Plan(Instant at, Timer timer, object plan)
    {
        if (host is null) world.Queue.Add(at, timer, plan);
        else host.AddTimer(at, timer, plan);
    }

    private sealed class Timer(SimulatedTimeProvider provider, TimerCallback callback, object? state) : ITimer, IEventTarget
    {
        private readonly ExecutionContext? _context = ExecutionContext.Capture();
        private Instant _due;
        private Duration _period;

        // What was planned last. An event of an earlier plan finds another one here and does nothing.
        private object? _plan;
        private bool _isDisposed;

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            Check(dueTime, nameof(dueTime));
            Check(period, nameof(period));
            using var turn = provider.Enter();
            if (_isDisposed) return false;
            _plan = null;
            _period = period;
            if (dueTime >= TimeSpan.Zero) PlanAt(provider.Now + dueTime);
            return true;
        }

        public void OnEvent(object? payload, Instant now)
        {
            if (!ReferenceEquals(payload, _plan)) return;
            _plan = null;
            if (_period > Duration.Zero) PlanAt(_due + _period > now ? _due + _period : now + _period);
            if (_context is null) callback(state);
            else ExecutionContext.Run(_context, new ContextCallback(callback), state);
        }

        public void Dispose()
        {
            using var turn = provider.Enter();
            _isDisposed = true;
            _plan = null;
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }

        private static void Check(TimeSpan span, string name)
        {
            if (span != Timeout.InfiniteTimeSpan) ArgumentOutOfRangeException.ThrowIfLessThan(span, TimeSpan.Zero, name);
        }

        private void PlanAt(Instant due)
        {
            _due = due;
            _plan = new object();
            provider.Plan(due, this, _plan);
        }
    }

    private Lock.Scope Enter() => world.Enter();
}
