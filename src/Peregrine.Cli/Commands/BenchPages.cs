// The pages of the benchmarks with ASP.NET Core: a text that lies ready, and an object that is written as JSON for each request. On Peregrine and
// on the kernel's sockets it is this file that answers.
using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.AspNetCore.Http;

namespace Peregrine.Cli.Commands;

internal static class BenchPages
{
    // {"message":"Hello, world!"}
    private const int JsonLength = 27;

    private static readonly byte[] s_text = "Hello, world!"u8.ToArray();

    [ThreadStatic]
    private static Utf8JsonWriter? t_writer;

    internal static Task AnswerAsync(HttpContext context)
    {
        var response = context.Response;
        if (context.Request.Path == "/json")
        {
            response.ContentLength = JsonLength;
            response.ContentType = "application/json";
            var writer = t_writer ??= new Utf8JsonWriter(response.BodyWriter, new JsonWriterOptions { SkipValidation = true });
            writer.Reset(response.BodyWriter);
            JsonSerializer.Serialize(writer, new Greeting("Hello, world!"), Shapes.Default.Greeting);
            return Task.CompletedTask;
        }
        response.ContentLength = s_text.Length;
        response.ContentType = "text/plain";
        return response.Body.WriteAsync(s_text, 0, s_text.Length);
    }

    internal sealed record Greeting([property: JsonPropertyName("message")] string Message);
}

/// <summary>How the greeting is written, made when this is compiled.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Serialization)]
[JsonSerializable(typeof(BenchPages.Greeting))]
internal sealed partial class Shapes : JsonSerializerContext;
