// Caffe's LeNet-5 over its kept weights only: forward, backward and Adam, sixteen pictures side by side in one vector.
//
// A network of a thousand weights does a twentieth of the dense one's multiplications; this does no others.
// Layers 0 to 3 are conv1, conv2, fc1, fc2. `theta` holds their kept weights, row by row, and then the four bias vectors.
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
typedef float v16 __attribute__((vector_size(64)));
typedef int32_t i16 __attribute__((vector_size(64)));
typedef struct {
    int n[4];             // kept weights per layer
    const int *ptr[4];    // CSR rows
    const int *off[4];    // input offsets (in v16 units) per weight
    float *theta;         // kept weights of layers 0..3, then biases of layers 0..3
    int total;            // length of theta
} Net;
static inline float hsum(v16 a) { float s = 0; for (int i = 0; i < 16; i++) s += a[i]; return s; }
static inline v16 bc(float a) { return a - (v16){0}; }
static inline v16 vmax(v16 a, v16 b) { return a > b ? a : b; }
typedef struct {
    v16 x[784];
    v16 p1[20 * 144]; i16 a1[20 * 144];
    v16 p2[800]; i16 a2[800];
    v16 h3[500]; v16 z[10];
    v16 gz[10], g3[500], g2[800], gp1[20 * 144], full[576];
} Work;
static Work *W; 
static void setup(void) { if (!W) { W = (Work *)aligned_alloc(64, sizeof(Work)); memset(W, 0, sizeof(Work)); } }

static void conv1(const Net *n, const float *b) {
    for (int o = 0; o < 20; o++) {
        int s = n->ptr[0][o], e = n->ptr[0][o + 1];
        for (int py = 0; py < 12; py++) for (int half = 0; half < 2; half++) {
            v16 acc[24];
            #pragma GCC unroll 24
            for (int k = 0; k < 24; k++) acc[k] = bc(b[o]);
            for (int t = s; t < e; t++) {
                v16 w = bc(n->theta[t]);
                const v16 *r = W->x + n->off[0][t] + 2 * py * 28 + half * 12;
                #pragma GCC unroll 12
                for (int k = 0; k < 12; k++) { acc[k] += w * r[k]; acc[12 + k] += w * r[28 + k]; }
            }
            #pragma GCC unroll 6
            for (int k = 0; k < 6; k++) {
                v16 m = acc[2 * k]; i16 a = (i16){0};
                v16 c = acc[2 * k + 1]; i16 g = c > m; a = g ? (i16){0} + 1 : a; m = g ? c : m;
                c = acc[12 + 2 * k]; g = c > m; a = g ? (i16){0} + 2 : a; m = g ? c : m;
                c = acc[13 + 2 * k]; g = c > m; a = g ? (i16){0} + 3 : a; m = g ? c : m;
                g = m > bc(0); int j = o * 144 + py * 12 + half * 6 + k;
                W->p1[j] = g ? m : bc(0); W->a1[j] = g ? a : (i16){0} + 4;
            }
        }
    }
}
static void conv2(const Net *n, const float *b) {
    int base = n->n[0];
    for (int o = 0; o < 50; o++) {
        int s = n->ptr[1][o], e = n->ptr[1][o + 1];
        for (int py = 0; py < 4; py++) {
            v16 acc[16];
            #pragma GCC unroll 16
            for (int k = 0; k < 16; k++) acc[k] = bc(b[o]);
            for (int t = s; t < e; t++) {
                v16 w = bc(n->theta[base + t]);
                const v16 *r = W->p1 + n->off[1][t] + 2 * py * 12;
                #pragma GCC unroll 8
                for (int k = 0; k < 8; k++) { acc[k] += w * r[k]; acc[8 + k] += w * r[12 + k]; }
            }
            #pragma GCC unroll 4
            for (int k = 0; k < 4; k++) {
                v16 m = acc[2 * k]; i16 a = (i16){0};
                v16 c = acc[2 * k + 1]; i16 g = c > m; a = g ? (i16){0} + 1 : a; m = g ? c : m;
                c = acc[8 + 2 * k]; g = c > m; a = g ? (i16){0} + 2 : a; m = g ? c : m;
                c = acc[9 + 2 * k]; g = c > m; a = g ? (i16){0} + 3 : a; m = g ? c : m;
                g = m > bc(0); int j = o * 16 + py * 4 + k;
                W->p2[j] = g ? m : bc(0); W->a2[j] = g ? a : (i16){0} + 4;
            }
        }
    }
}
static void forward(const Net *n) {
    const float *b = n->theta + n->n[0] + n->n[1] + n->n[2] + n->n[3];
    conv1(n, b); conv2(n, b + 20);
    const float *w = n->theta + n->n[0] + n->n[1];
    for (int r = 0; r < 500; r++) {
        v16 a = bc(b[70 + r]);
        for (int t = n->ptr[2][r]; t < n->ptr[2][r + 1]; t++) a += w[t] * W->p2[n->off[2][t]];
        W->h3[r] = vmax(a, bc(0));
    }
    w += n->n[2];
    for (int r = 0; r < 10; r++) {
        v16 a = bc(b[570 + r]);
        for (int t = n->ptr[3][r]; t < n->ptr[3][r + 1]; t++) a += w[t] * W->h3[n->off[3][t]];
        W->z[r] = a;
    }
}
// gw: one v16 per parameter, each lane the gradient of one example; added to.
static void backward(const Net *n, v16 *gw) {
    int n0 = n->n[0], n1 = n->n[1], n2 = n->n[2], n3 = n->n[3];
    v16 *gb = gw + n0 + n1 + n2 + n3;
    memset(W->g3, 0, sizeof W->g3); memset(W->g2, 0, sizeof W->g2); memset(W->gp1, 0, sizeof W->gp1);
    const float *w = n->theta + n0 + n1 + n2; v16 *g = gw + n0 + n1 + n2;
    for (int r = 0; r < 10; r++) {
        v16 z = W->gz[r]; gb[570 + r] += z;
        for (int t = n->ptr[3][r]; t < n->ptr[3][r + 1]; t++) { int c = n->off[3][t]; g[t] += z * W->h3[c]; W->g3[c] += w[t] * z; }
    }
    w -= n2; g -= n2;
    for (int r = 0; r < 500; r++) {
        if (n->ptr[2][r] == n->ptr[2][r + 1]) continue;
        v16 z = W->h3[r] > bc(0) ? W->g3[r] : bc(0); gb[70 + r] += z;
        for (int t = n->ptr[2][r]; t < n->ptr[2][r + 1]; t++) { int c = n->off[2][t]; g[t] += z * W->p2[c]; W->g2[c] += w[t] * z; }
    }
    w -= n1; g -= n1;
    for (int o = 0; o < 50; o++) {
        int s = n->ptr[1][o], e = n->ptr[1][o + 1]; if (s == e) continue;
        v16 sum = bc(0), f[64];
        for (int j = 0; j < 16; j++) {
            int y = j / 4 * 2, x = j % 4 * 2; v16 q = W->g2[o * 16 + j]; i16 a = W->a2[o * 16 + j];
            f[y * 8 + x] = a == 0 ? q : bc(0); f[y * 8 + x + 1] = a == 1 ? q : bc(0);
            f[y * 8 + 8 + x] = a == 2 ? q : bc(0); f[y * 8 + 9 + x] = a == 3 ? q : bc(0);
            sum += a == 4 ? bc(0) : q;
        }
        gb[20 + o] += sum;
        for (int t = s; t < e; t++) {
            const v16 *in = W->p1 + n->off[1][t]; v16 *gi = W->gp1 + n->off[1][t]; v16 ww = bc(w[t]);
            v16 c0 = bc(0), c1 = bc(0), c2 = bc(0), c3 = bc(0);
            for (int y = 0; y < 8; y++)
                #pragma GCC unroll 2
                for (int x = 0; x < 8; x += 4) {
                    v16 f0 = f[y * 8 + x], f1 = f[y * 8 + x + 1], f2 = f[y * 8 + x + 2], f3 = f[y * 8 + x + 3];
                    int k = y * 12 + x;
                    c0 += f0 * in[k]; c1 += f1 * in[k + 1]; c2 += f2 * in[k + 2]; c3 += f3 * in[k + 3];
                    gi[k] += ww * f0; gi[k + 1] += ww * f1; gi[k + 2] += ww * f2; gi[k + 3] += ww * f3;
                }
            g[t] += (c0 + c1) + (c2 + c3);
        }
    }
    g -= n0;
    for (int o = 0; o < 20; o++) {
        int s = n->ptr[0][o], e = n->ptr[0][o + 1]; if (s == e) continue;
        v16 *f = W->full, sum = bc(0);
        for (int j = 0; j < 144; j++) {
            int y = j / 12 * 2, x = j % 12 * 2; v16 q = W->gp1[o * 144 + j]; i16 a = W->a1[o * 144 + j];
            f[y * 24 + x] = a == 0 ? q : bc(0); f[y * 24 + x + 1] = a == 1 ? q : bc(0);
            f[y * 24 + 24 + x] = a == 2 ? q : bc(0); f[y * 24 + 25 + x] = a == 3 ? q : bc(0);
            sum += a == 4 ? bc(0) : q;
        }
        gb[o] += sum;
        for (int t = s; t < e; t++) {
            const v16 *in = W->x + n->off[0][t];
            v16 c0 = bc(0), c1 = bc(0), c2 = bc(0), c3 = bc(0);
            for (int y = 0; y < 24; y++)
                #pragma GCC unroll 6
                for (int x = 0; x < 24; x += 4) {
                    const v16 *p = f + y * 24 + x, *q = in + y * 28 + x;
                    c0 += p[0] * q[0]; c1 += p[1] * q[1]; c2 += p[2] * q[2]; c3 += p[3] * q[3];
                }
            g[t] += (c0 + c1) + (c2 + c3);
        }
    }
}
static void loadx(const uint8_t *img, const int *idx, const int *sy, const int *sx) {
    float *x = (float *)W->x;
    const float lo = -0.1307f / 0.3081f, sc = 1.0f / 255 / 0.3081f;
    for (int l = 0; l < 16; l++) {
        const uint8_t *p = img + (long)idx[l] * 784;
        int dy = sy ? sy[l] : 0, dx = sx ? sx[l] : 0;
        if (dy == 0 && dx == 0) { for (int k = 0; k < 784; k++) x[k * 16 + l] = p[k] * sc + lo; continue; }
        for (int y = 0; y < 28; y++) for (int c = 0; c < 28; c++) {
            int yy = y + dy, cc = c + dx;
            x[(y * 28 + c) * 16 + l] = (yy >= 0 && yy < 28 && cc >= 0 && cc < 28) ? p[yy * 28 + cc] * sc + lo : lo;
        }
    }
}
// Gradient of the mean loss with respect to the outputs; returns the summed loss of the 16 examples.
static float lossgrad(const int *label, const float *const *teach, float T, float weight) {
    float loss = 0;
    float *z = (float *)W->z, *gz = (float *)W->gz;
    for (int l = 0; l < 16; l++) {
        float m = -1e30f, e[10], et[10], q[10], s = 0, st = 0, sq = 0, mt = -1e30f;
        for (int r = 0; r < 10; r++) if (z[r * 16 + l] > m) m = z[r * 16 + l];
        for (int r = 0; r < 10; r++) { e[r] = expf(z[r * 16 + l] - m); s += e[r]; }
        float ce = logf(s) - (z[label[l] * 16 + l] - m);
        for (int r = 0; r < 10; r++) gz[r * 16 + l] = (1 - weight) * (e[r] / s - (r == label[l]));
        loss += (1 - weight) * ce;
        if (weight > 0) {
            const float *t = teach[l];
            for (int r = 0; r < 10; r++) if (t[r] > mt) mt = t[r];
            for (int r = 0; r < 10; r++) { et[r] = expf((z[r * 16 + l] - m) / T); st += et[r]; q[r] = expf((t[r] - mt) / T); sq += q[r]; }
            float kl = 0;
            for (int r = 0; r < 10; r++) {
                float a = et[r] / st, b = q[r] / sq;
                gz[r * 16 + l] += weight * T * (a - b);
                kl += b * ((t[r] - mt) / T - logf(sq) - (z[r * 16 + l] - m) / T + logf(st));
            }
            loss += weight * T * T * kl;
        }
    }
    return loss;
}
// Forward and backward of sixteen pictures; gradients are added to gw. Returns their summed loss.
static float sixteen(const Net *n, const uint8_t *img, const uint8_t *lab, const int *order, const int *shift, const float *teacher, float T, float weight, v16 *gw) {
    int sy[16], sx[16], label[16]; const float *t[16];
    for (int l = 0; l < 16; l++) {
        sy[l] = shift[l] / 5 - 2; sx[l] = shift[l] % 5 - 2;
        label[l] = lab[order[l]]; t[l] = teacher + ((long)order[l] * 25 + shift[l]) * 10;
    }
    loadx(img, order, sy, sx); forward(n);
    float loss = lossgrad(label, t, T, weight);
    backward(n, gw);
    return loss;
}
// Levels of straight-through training: multiples of a scale but zero, one scale a group of parameters.
typedef struct {
    const uint8_t *group;   // of each parameter
    const float *most;      // largest multiple, by group
    float *scale, *m1, *m2; // by group, with the moments of Adam
    float *latent;          // what Adam moves; theta is its nearest level
} Levels;
static float nearest(float x, float most) {
    float size = roundf(fabsf(x));
    size = size < 1 ? 1 : size > most ? most : size;
    return x < 0 ? -size : size;
}
static void settle(Net *n, const Levels *q) {
    for (int p = 0; p < n->total; p++) {
        float s = q->scale[q->group[p]];
        n->theta[p] = n->theta[p] == 0 ? 0 : s * nearest(q->latent[p] / s, q->most[q->group[p]]);
    }
}
// One pass over `count` pictures in `order`, each moved by its shift (0 to 24), by Adam; what is not free (0) stays. With levels q, which may be
// null, Adam moves the latent values by the gradient at their levels, and the scales by theirs. teacher:
// [picture][25][10]. Returns the mean loss.
extern "C" float epoch(Net *n, const uint8_t *img, const uint8_t *lab, const int *order, const int *shift, int count, int batch, const float *teacher,
                       float T, float weight, float *m1, float *m2, long step, const float *rate, const float *free_, const Levels *q) {
    setup();
    int P = n->total, seen = 0;
    v16 *gw = (v16 *)aligned_alloc(64, sizeof(v16) * P);
    double loss = 0;
    for (int s = 0; s + batch <= count; s += batch, step++, rate++) {
        memset(gw, 0, sizeof(v16) * P);
        if (q) settle(n, q);
        for (int k = 0; k < batch; k += 16) {
            loss += sixteen(n, img, lab, order + s + k, shift + s + k, teacher, T, weight, gw); seen += 16;
        }
        float c1 = 1 - powf(0.9f, step + 1), c2 = 1 - powf(0.999f, step + 1);
        float turn[8] = {0}, *moved = q ? q->latent : n->theta;
        for (int p = 0; p < P; p++) {
            float g = hsum(gw[p]) / batch;
            if (q && free_[p]) {
                int k = q->group[p];
                float at = q->latent[p] / q->scale[k], level = n->theta[p] / q->scale[k];
                turn[k] += g * (fabsf(at) > q->most[k] ? level : level - at);
            }
            m1[p] += 0.1f * (g - m1[p]); m2[p] += 0.001f * (g * g - m2[p]);
            moved[p] -= free_[p] * *rate * (m1[p] / c1) / (sqrtf(m2[p] / c2) + 1e-8f);
        }
        for (int k = 0; q && k < 8; k++) {
            q->m1[k] += 0.1f * (turn[k] - q->m1[k]); q->m2[k] += 0.001f * (turn[k] * turn[k] - q->m2[k]);
            q->scale[k] *= 1 - *rate * (q->m1[k] / c1) / (sqrtf(q->m2[k] / c2) + 1e-12f);
        }
    }
    if (q) settle(n, q);
    free(gw);
    return loss / seen;
}
// Outputs of the network on images 0..count-1 (count a multiple of 16).
extern "C" void outputs(Net *n, const uint8_t *img, int count, float *out) {
    setup();
    for (int s = 0; s < count; s += 16) {
        int idx[16]; for (int l = 0; l < 16; l++) idx[l] = s + l;
        loadx(img, idx, 0, 0); forward(n);
        for (int l = 0; l < 16; l++) for (int r = 0; r < 10; r++) out[(s + l) * 10 + r] = W->z[r][l];
    }
}
// Per-example gradients of the loss: out[count][P].
extern "C" void examples(Net *n, const uint8_t *img, const uint8_t *lab, const int *order, const int *shift, int count, const float *teacher,
                         float T, float weight, float *out) {
    setup();
    int P = n->total; v16 *gw = (v16 *)aligned_alloc(64, sizeof(v16) * P);
    for (int s = 0; s < count; s += 16) {
        memset(gw, 0, sizeof(v16) * P);
        sixteen(n, img, lab, order + s, shift + s, teacher, T, weight, gw);
        for (int p = 0; p < P; p++) for (int l = 0; l < 16; l++) out[(long)(s + l) * P + p] = gw[p][l];
    }
    free(gw);
}
