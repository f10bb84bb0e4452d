// The engine beneath sockets on a simulated host: the same Sockets code as under the real host, its mailbox a queue, its turns the host's.
using Peregrine.Core;
using Peregrine.Sockets;

namespace Peregrine.Simulation.Hosts;

internal sealed class SimulatedEngine : SocketEngine
{
    private readonly Queue<EngineCommand> _mailbox = new();
    private readonly Queue<IThreadPoolWorkItem> _elsewhere = new();
    private readonly SimulatedHost _host;

    internal SimulatedEngine(SimulatedHost host, NetworkStack stack)
        : base(stack)
    {
        _host = host;
        AttachThread();
    }

    /// <summary>What a call-back threw last; the host ends the world with it.</summary>
    internal Exception? Unhandled { get; private set; }

    internal bool IsIdle => _mailbox.Count == 0 && _elsewhere.Count == 0 && !HasWork;

    public override bool TryPost(in EngineCommand command)
    {
        if (IsStopped) return false;
        _mailbox.Enqueue(command);
        _host.Wake();
        return true;
    }

    public override void RunElsewhere(IThreadPoolWorkItem item)
    {
        _elsewhere.Enqueue(item);
        _host.Wake();
    }

    public override void OnUnhandled(Exception exception, object callback) => Unhandled ??= exception;

    /// <summary>One turn's share of what was posted and put off.</summary>
    internal void Turn(Core.Time.Instant now)
    {
        BeginTurn(now);
        for (var left = _mailbox.Count; left > 0; left--) Execute(_mailbox.Dequeue());
        Dispatch(now);
        for (var left = _elsewhere.Count; left > 0; left--) _elsewhere.Dequeue().Execute();
    }

    protected override void WaitForRoom(int attempt) => throw new InvalidOperationException("A simulated mailbox is never full.");
}

/// <summary>The network of a simulated host, as applications see it.</summary>
internal sealed class SimulatedHostNetwork(SimulatedEngine engine, INameResolver resolver) : Network(engine, resolver)
{
    public override ValueTask DisposeAsync()
    {
        Engine.CloseAll();
        return ValueTask.CompletedTask;
    }
}
