// The code under test, as it would run in production: a shop that books orders, and a client that places them and does not give up soon. Nothing here
// knows of the simulation.
using System.Collections.Concurrent;

namespace RetryUnderPartition;

/// <summary>The shop: POST /orders books what the body says.</summary>
internal sealed class Shop
{
    private readonly ConcurrentQueue<string> _booked = new();
    private readonly ConcurrentDictionary<string, Task<string>> _answers = new();

    public IReadOnlyCollection<string> Booked => _booked;

    public void Map(WebApplication app) => app.MapPost("/orders", async (HttpRequest request, TimeProvider time) =>
    {
        using var reader = new StreamReader(request.Body);
        var order = await reader.ReadToEndAsync();
        var key = request.Headers["Idempotency-Key"].ToString();
        return await (key.Length == 0 ? BookAsync(order, time) : _answers.GetOrAdd(key, _ => BookAsync(order, time)));
    });

    private async Task<string> BookAsync(string order, TimeProvider time)
    {
        // What a database takes.
        await Task.Delay(TimeSpan.FromMilliseconds(30), time);
        _booked.Enqueue(order);
        return $"number {_booked.Count}";
    }
}

/// <summary>The client. With keys, the shop knows an order that comes again.</summary>
internal sealed class ShopClient(HttpClient http, bool sendsKeys)
{
    private const int AttemptCountMax = 10;

    /// <summary>Places an order. However often that takes, it must be booked once.</summary>
    public async Task PlaceAsync(string order, Action<string> log)
    {
        var key = "key of " + order;
        for (var attempt = 1; ; attempt++)
        {
            log($"{order}: attempt {attempt}");
            try
            {
                using var request = new HttpRequestMessage(HttpMethod.Post, "http://shop/orders") { Content = new StringContent(order) };
                if (sendsKeys) request.Headers.Add("Idempotency-Key", key);
                using var response = await http.SendAsync(request);
                log($"{order}: {await response.EnsureSuccessStatusCode().Content.ReadAsStringAsync()}");
                return;
            }
            // Here is the bug, when there are no keys: no answer does not mean that nothing was done.
            catch (Exception e) when (e is HttpRequestException or TaskCanceledException && attempt < AttemptCountMax)
            {
                log($"{order}: {(e is TaskCanceledException ? "no answer in time" : "no connection")}");
            }
        }
    }
}
