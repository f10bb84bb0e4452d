// A cancellation that also comes when a time is over, by the clock of the surroundings.
namespace Peregrine.Iperf3;

internal sealed class Patience : IDisposable
{
    private readonly CancellationTokenSource _source;
    private readonly ITimer _timer;

    internal Patience(TimeProvider time, TimeSpan most, CancellationToken cancel = default)
    {
        _source = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        _timer = time.CreateTimer(static source => ((CancellationTokenSource)source!).Cancel(), _source, most, Timeout.InfiniteTimeSpan);
    }

    internal CancellationToken Token => _source.Token;

    public void Dispose()
    {
        // The source stays undisposed: the timer's last call may be on its way.
        _timer.Dispose();
    }
}
