// Frames of a live link as they pass: into a file, onto the screen, or both. The core only writes into a pipe; printing has a thread of its
// own, and what it has not printed yet waits in memory.
using System.IO.Pipelines;
using Peregrine.Core.Links;
using Peregrine.Sockets;
using Peregrine.Wire;

namespace Peregrine.Cli;

internal sealed class FrameWatch : IAsyncDisposable
{
    private readonly TracingLink _link;
    private readonly ILink _inner;
    private readonly Task _printing = Task.CompletedTask;
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource _enough = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly int _countMax;
    private Task _flushing = Task.CompletedTask;

    /// <param name="link">The link to be watched; disposed with <see cref="Link"/>.</param>
    /// <param name="file">Where the capture goes, or null; disposed with this.</param>
    /// <param name="print">Whether frames are printed.</param>
    /// <param name="countMax">Frames after which <see cref="Enough"/> completes, or 0 for never.</param>
    internal FrameWatch(ILink link, Stream? file, bool print, int countMax = 0)
    {
        (_inner, _countMax) = (link, countMax);
        var pipe = new Pipe(new PipeOptions(pauseWriterThreshold: 0, resumeWriterThreshold: 0, useSynchronizationContext: false));
        _link = new TracingLink(link, _ => new Tee(file, print || countMax > 0 ? pipe.Writer : null), FrameLines.UnixNanoseconds);
        if (!print && countMax <= 0) return;
        _printing = Task.Factory.StartNew(
            () => Print(pipe.Reader.AsStream(), print), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    internal TracingLink Link => _link;

    /// <summary>The link that is watched.</summary>
    internal T Inner<T>()
        where T : ILink => (T)_inner;

    /// <summary>Completes when as many frames have passed as were asked for.</summary>
    internal Task Enough => _enough.Task;

    /// <summary>Brings what was captured to screen and file now and then.</summary>
    internal void Start(SocketEngine engine) => _flushing = FlushAsync(engine);

    /// <summary>Call after the network has ended.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _flushing.ConfigureAwait(false);
        _link.Dispose();
        await _printing.ConfigureAwait(false);
        _stop.Dispose();
    }

    private async Task FlushAsync(SocketEngine engine)
    {
        try
        {
            while (true)
            {
                await Task.Delay(100, _stop.Token).ConfigureAwait(false);
                await engine.RunAsync(() =>
                {
                    _link.Flush();
                    return true;
                }).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
        {
            // Either is the end.
        }
    }

    private void Print(Stream frames, bool print)
    {
        using var reader = new CaptureReader(frames);
        var first = 0UL;
        for (var count = 1; reader.TryReadFrame(out var frame); count++)
        {
            var line = FrameLines.Print(frame, reader);
            if (first == 0) first = line.TimeNs;
            if (print && (_countMax == 0 || count <= _countMax)) Console.WriteLine(FrameLines.Format(line, first));
            if (count == _countMax) _enough.TrySetResult();
        }
    }

    /// <summary>One stream for the tracer, up to two behind it.</summary>
    private sealed class Tee(Stream? file, PipeWriter? pipe) : CaptureSink
    {
        public override void Write(ReadOnlySpan<byte> buffer)
        {
            file?.Write(buffer);
            if (pipe == null) return;
            buffer.CopyTo(pipe.GetSpan(buffer.Length));
            pipe.Advance(buffer.Length);
        }

        public override void Flush()
        {
            file?.Flush();
            // Without a threshold a flush completes at once.
            if (pipe != null) _ = pipe.FlushAsync().AsTask();
        }

        protected override void Dispose(bool disposing)
        {
            if (!disposing) return;
            file?.Dispose();
            pipe?.Complete();
        }
    }
}
