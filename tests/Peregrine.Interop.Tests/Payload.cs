// The bytes of transfers: any number of them, the same each time, and their SHA-256. A pattern whose length fits no buffer or segment.
using System.Net.Sockets;
using System.Security.Cryptography;
using Peregrine.Sockets;

namespace Peregrine.Interop.Tests;

internal static class Payload
{
    private static readonly byte[] s_pattern = CreatePattern();

    /// <summary>What comes next at an offset, up to 64 KiB and not beyond the end.</summary>
    public static ReadOnlyMemory<byte> At(long offset, long end)
    {
        var within = (int)(offset % s_pattern.Length);
        return s_pattern.AsMemory(within, (int)Math.Min(Math.Min(65_536, s_pattern.Length - within), end - offset));
    }

    /// <summary>The hash of so many bytes, in lower-case hexadecimal.</summary>
    public static string HashOf(long length)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        for (long offset = 0; offset < length;)
        {
            var piece = At(offset, length);
            hash.AppendData(piece.Span);
            offset += piece.Length;
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    public static async Task<string> HashAsync(Stream stream) => Convert.ToHexStringLower(await SHA256.HashDataAsync(stream));

    public static async Task WriteAsync(Stream stream, long length)
    {
        for (long offset = 0; offset < length;)
        {
            var piece = At(offset, length);
            await stream.WriteAsync(piece);
            offset += piece.Length;
        }
    }

    public static async ValueTask SendAsync(TcpConnection connection, long length)
    {
        for (long offset = 0; offset < length;)
            offset += await connection.SendAsync(At(offset, length));
    }

    public static async ValueTask<string> HashAsync(TcpConnection connection)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[65_536];
        while (await connection.ReceiveAsync(buffer) is var count and > 0) hash.AppendData(buffer, 0, count);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>Receives exactly as many bytes as the buffer has.</summary>
    public static async Task ReceiveAllAsync(Socket socket, Memory<byte> buffer)
    {
        while (buffer.Length > 0)
        {
            var count = await socket.ReceiveAsync(buffer);
            if (count == 0) Assert.Fail($"the connection ended with {buffer.Length} bytes missing");
            buffer = buffer[count..];
        }
    }

    /// <inheritdoc cref="ReceiveAllAsync(Socket, Memory{byte})"/>
    public static async Task ReceiveAllAsync(TcpConnection connection, Memory<byte> buffer)
    {
        while (buffer.Length > 0)
        {
            var count = await connection.ReceiveAsync(buffer);
            if (count == 0) Assert.Fail($"the connection ended with {buffer.Length} bytes missing");
            buffer = buffer[count..];
        }
    }

    private static byte[] CreatePattern()
    {
        var pattern = new byte[1_048_583];
        new Random(94).NextBytes(pattern);
        return pattern;
    }
}
