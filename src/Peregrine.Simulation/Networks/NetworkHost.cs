// A simulated host as code on it sees it: the sockets of any network and a clock; and what can go wrong with its line, by calls that follow each other.
// Finer faults are its link's conditions.
using System.Net.Http;
using Peregrine.Core.Time;
using Peregrine.Simulation.Hosts;
using Peregrine.Simulation.Links;
using Peregrine.Sockets;

namespace Peregrine.Simulation.Networks;

/// <summary>A simulated host as code on it sees it: sockets, a clock in virtual time, and faults of its line.</summary>
public sealed class NetworkHost : Network
{
    private readonly List<HostedApplication> _applications = [];

    internal NetworkHost(SimulatedHost machine, SimulatedEngine engine)
        : base(engine, new WorldNames(machine.World))
    {
        Machine = machine;
        TimeProvider = new SimulatedTimeProvider(machine.World, machine);
    }

    /// <summary>The host's name, by which others find its addresses.</summary>
    public string Name => Machine.Name;

    /// <summary>The host beneath: stack, clock, memory.</summary>
    public SimulatedHost Machine { get; }

    /// <summary>
    /// The host's clock. It begins with the year 2000 and goes with virtual time; its timers are late while the host is paused, and drift and jump with
    /// the host's clock.
    /// </summary>
    public override TimeProvider TimeProvider { get; }

    /// <summary>The host's line to its switch.</summary>
    /// <exception cref="InvalidOperationException">It has none.</exception>
    public SimulatedLink Link => Machine.PortCount > 0 ? Machine.Port(0).Link : throw new InvalidOperationException($"{Name} is connected to nothing.");

    /// <summary>Each way takes so long; 1 ms when nothing is said. A <see cref="TimeSpan"/> does as well.</summary>
    public NetworkHost Delay(Duration delay) => Set(c => c with { Delay = delay });

    /// <summary>Each way takes up to so much longer, each frame for itself; frames keep their order.</summary>
    public NetworkHost Jitter(Duration jitter) => Set(c => c with { Jitter = jitter });

    /// <summary>Loses frames, each by itself.</summary>
    /// <param name="percent">Of a hundred frames, from 0 to 100.</param>
    public NetworkHost Loss(double percent) => Set(c => c with { LossPerMillion = PerMillion(percent) });

    /// <summary>Delivers frames twice.</summary>
    /// <param name="percent">Of a hundred frames, from 0 to 100.</param>
    public NetworkHost Duplicate(double percent) => Set(c => c with { DuplicationPerMillion = PerMillion(percent) });

    /// <summary>Delays frames, so that others overtake them.</summary>
    /// <param name="percent">Of a hundred frames, from 0 to 100.</param>
    /// <param name="delay">By how much at most.</param>
    public NetworkHost Reorder(double percent, Duration delay) => Set(c => c with { ReorderingPerMillion = PerMillion(percent), ReorderDelay = delay });

    /// <summary>Limits the rate.</summary>
    /// <param name="bitsPerSecond">Bits a second each way; 0 for no limit.</param>
    /// <param name="queueBytes">Bytes that wait at most; more are dropped.</param>
    public NetworkHost Rate(long bitsPerSecond, int queueBytes = 128 * 1024)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bitsPerSecond);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(queueBytes);
        return Set(c => c with { RateBitsPerSecond = bitsPerSecond, QueueBytesMax = queueBytes });
    }

    /// <summary>The line is out: nothing gets through, either way.</summary>
    public NetworkHost Unplug() => Set(static c => c with { IsUp = false });

    /// <summary>The line is in again.</summary>
    public NetworkHost Plug() => Set(static c => c with { IsUp = true });

    /// <summary>The host stands still: a long collection, a suspended machine. Its clock goes on, its timers and its sockets wait.</summary>
    public NetworkHost Pause(Duration time)
    {
        Machine.Pause(time);
        return this;
    }

    /// <summary>
    /// What runs on this host: called when the network runs next, and again after each <see cref="Restart"/>. Its token is cancelled when the host goes down, and
    /// what it waits for on sockets then ends with an error; an exception that leaves it otherwise ends the run. It runs on behind the run's own code, which
    /// does not wait for it.
    /// </summary>
    public NetworkHost Runs(Func<NetworkHost, CancellationToken, Task> application)
    {
        ArgumentNullException.ThrowIfNull(application);
        _applications.Add(new HostedApplication(this, application, Context ?? throw new InvalidOperationException($"{Name} is in no SimulatedNetwork, which would run its code.")));
        _applications[^1].Start();
        return this;
    }

    /// <summary>
    /// The host loses all state without a word to anybody, and comes back after so much time with the same addresses and nothing else; what <see cref="Runs"/> was
    /// given begins anew. Sockets from before are dead: what pends on them ends with OperationAborted.
    /// </summary>
    public NetworkHost Restart(Duration downTime)
    {
        Machine.Restart(downTime);
        return this;
    }

    /// <summary>
    /// An HttpClient whose connections come from this host. Its time-out goes by the host's clock and includes the content, which is buffered;
    /// <see cref="HttpClient.Timeout"/> itself would go by real time and is off. For <see cref="SimulatedNetwork.RunWithThreadPoolAsync"/>.
    /// </summary>
    /// <param name="timeout">Time of a request; <see cref="Timeout.InfiniteTimeSpan"/> for no limit. Default 100 s, as HttpClient's own.</param>
    public HttpClient CreateHttpClient(TimeSpan? timeout = null) =>
        new(new VirtualTimeoutHandler(CreateHttpHandler(), TimeProvider, timeout ?? TimeSpan.FromSeconds(100))) { Timeout = Timeout.InfiniteTimeSpan };

    /// <summary>The handler of an HttpClient whose connections come from this host: for clients that are made elsewhere.</summary>
    public SocketsHttpHandler CreateHttpHandler() => new()
    {
        ConnectCallback = ConnectAsync,
        UseProxy = false,
        // A request must not carry a number that chance has made.
        ActivityHeadersPropagator = null,
    };

    /// <summary>Closes all sockets gracefully.</summary>
    public override ValueTask DisposeAsync()
    {
        Engine.Run(() =>
        {
            Engine.CloseAll();
            return true;
        });
        return ValueTask.CompletedTask;
    }

    /// <summary>Where the host's applications run; null in a world without a <see cref="SimulatedNetwork"/>.</summary>
    internal SimulationContext? Context { get; set; }

    /// <summary>The host goes down now.</summary>
    internal void OnCrash()
    {
        foreach (var application in _applications) application.Stop();
    }

    /// <summary>The host is up again, with a stack that knows nothing.</summary>
    internal void OnStart(SocketEngine engine)
    {
        Engine = engine;
        foreach (var application in _applications) application.Start();
    }

    private static int PerMillion(double percent)
    {
        if (!(percent is >= 0 and <= 100)) throw new ArgumentOutOfRangeException(nameof(percent), percent, "It must be from 0 to 100.");
        return (int)Math.Round(percent * 10_000);
    }

    private NetworkHost Set(Func<LinkConditions, LinkConditions> change)
    {
        Link.Set(change);
        return this;
    }
}
