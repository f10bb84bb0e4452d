// What all streams here have in common into which a capture is written: they are written from start to end, and that is all.
namespace Peregrine.Cli;

internal abstract class CaptureSink : Stream
{
    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException("A capture under way has no length.");

    public override long Position
    {
        get => throw new NotSupportedException("A capture under way has no position.");
        set => throw new NotSupportedException("A capture is written from start to end.");
    }

    public override void Flush()
    {
    }

    public abstract override void Write(ReadOnlySpan<byte> buffer);

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException("A capture is only written.");

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException("A capture is written from start to end.");

    public override void SetLength(long value) => throw new NotSupportedException("A capture is written from start to end.");
}
