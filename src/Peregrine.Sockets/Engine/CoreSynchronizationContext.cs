// Brings awaits back to the core's thread. Not installed by default: inline completion already continues there, and this is for code
// that awaits other things in between (a timer, a database) and wants to come home.
namespace Peregrine.Sockets;

/// <summary>A synchronization context whose posts run on the core's thread.</summary>
public sealed class CoreSynchronizationContext : SynchronizationContext
{
    private readonly SocketEngine _engine;

    internal CoreSynchronizationContext(SocketEngine engine) => _engine = engine;

    internal CapturedContext? Captured { get; set; }

    /// <summary>Runs the call-back on the core's thread, after what it does now.</summary>
    public override void Post(SendOrPostCallback d, object? state) => _engine.PostWork(new PostedCallback(_engine, d, state));

    /// <summary>Runs the call-back on the core's thread and waits for it. Runs it at once when already there.</summary>
    public override void Send(SendOrPostCallback d, object? state) => _engine.Run(() =>
    {
        d(state);
        return true;
    });

    /// <inheritdoc/>
    public override SynchronizationContext CreateCopy() => this;

    private sealed class PostedCallback(SocketEngine engine, SendOrPostCallback callback, object? state) : IEngineWork, IThreadPoolWorkItem
    {
        public void Execute()
        {
            engine.Running = callback;
            callback(state);
        }

        // The core has stopped. The code after an await must still run somewhere, else its task never ends.
        public void Abandon() => engine.RunElsewhere(this);
    }
}
